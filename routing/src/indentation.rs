//! Who gets JSON in a form for human readers: k8s.io/apiserver/pkg/endpoints/
//! handlers/negotiation, `isPrettyPrint`. The query decides; without it, clients
//! in which humans read.

use std::borrow::Cow;

use crate::path::percent_decode;

/// Returns whether a request asks for indented JSON. `query` is what follows the
/// path's question mark.
pub(crate) fn is_wanted(query: &[u8], user_agent: &[u8]) -> bool {
    const READERS: [&[u8]; 3] = [b"curl", b"Wget", b"Mozilla/5.0"];
    match value(query, b"pretty").as_deref() {
        None | Some(b"") => READERS.iter().any(|reader| user_agent.starts_with(reader)),
        Some(value) => matches!(value, b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True"),
    }
}

/// Returns the first value of a parameter, as Go's `url.ParseQuery` reads it. The server looks only
/// if the name occurs as it is.
fn value<'q>(query: &'q [u8], name: &[u8]) -> Option<Cow<'q, [u8]>> {
    query.windows(name.len()).find(|window| *window == name)?;
    query.split(|&byte| byte == b'&').find_map(|parameter| {
        // Go refuses semicolons, which once separated parameters too.
        if parameter.contains(&b';') {
            return None;
        }
        let equals = parameter.iter().position(|&byte| byte == b'=').unwrap_or(parameter.len());
        let (key, value) = parameter.split_at_checked(equals)?;
        let is_named = unescape(key)?.as_ref() == name;
        is_named.then(|| unescape(value.strip_prefix(b"=").unwrap_or_default())).flatten()
    })
}

fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    /// What kube-apiserver 1.36.3 answers to each query, for curl and for another client.
    #[test]
    fn the_query_decides_and_without_it_the_client() {
        let table = [
            ("", true, false),
            ("pretty=true", true, true),
            ("pretty=1", true, true),
            ("pretty=false", false, false),
            ("pretty=0", false, false),
            ("pretty=x", false, false),
            ("pretty", true, false),
            ("pretty=", true, false),
            ("x=pretty", true, false),
            ("pretty=T&pretty=0", true, true),
            ("pre%74ty=1", true, false),
            ("pre%74ty=1&pretty=0", true, true),
            ("pretty=%31", true, true),
            ("pretty=%3", true, false),
            ("pretty=+1", false, false),
            ("a;pretty=1", true, false),
            ("pretty=1;x", true, false),
        ];
        for (query, curl, other) in table {
            assert_eq!(is_wanted(query.as_bytes(), b"curl/8.1"), curl, "{query} by curl");
            assert_eq!(is_wanted(query.as_bytes(), b"kubectl/v1.36.3"), other, "{query}");
        }
        assert!(is_wanted(b"", b"Wget/1.21") && is_wanted(b"", b"Mozilla/5.0 (X11)"));
        assert!(
            !is_wanted(b"", b"Mozilla/4.0") && !is_wanted(b"", b"") && !is_wanted(b"", b"CURL")
        );
    }
}
