//! The verb of a request, as Kubernetes' `RequestInfo` derives it
//! (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).

use discovery_map::Verb;

use crate::path::percent_decode;
use crate::target::ResourceTarget;

/// Returns the verb of a request for a resource. `None` if it has none of those
/// that discovery lists (`OPTIONS`), or if someone else answers it: behind `proxy`
/// every method is passed on.
pub(crate) fn verb(method: &[u8], query: &[u8], target: &ResourceTarget<'_>) -> Option<Verb> {
    if target.is_for_another() {
        return None;
    }
    if target.is_watch {
        return Some(Verb::Watch);
    }
    match method {
        b"GET" | b"HEAD" if target.is_named => Some(Verb::Get),
        b"GET" | b"HEAD" if is_watch(query) => Some(Verb::Watch),
        b"GET" | b"HEAD" => Some(Verb::List),
        b"POST" => Some(Verb::Create),
        b"PUT" => Some(Verb::Update),
        b"PATCH" => Some(Verb::Patch),
        b"DELETE" if target.is_named => Some(Verb::Delete),
        b"DELETE" => Some(Verb::DeleteCollection),
        _ => None,
    }
}

/// Returns whether a query asks for a watch: its first `watch` has any value but
/// `false` and `0`. Parts are read as Go's `url.ParseQuery` reads them, which skips
/// those with a semicolon or a broken escape. A `+` needs no care, because no
/// value that matters has a space.
fn is_watch(query: &[u8]) -> bool {
    let parts = query.split(|&byte| byte == b'&').filter(|part| !part.contains(&b';'));
    let mut values = parts.filter_map(|part| {
        let end = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
        let (name, value) = part.split_at_checked(end)?;
        (percent_decode(name)?.as_ref() == b"watch").then_some(())?;
        percent_decode(value.strip_prefix(b"=").unwrap_or_default())
    });
    values
        .next()
        .is_some_and(|value| !matches!(&*value, b"0") && !value.eq_ignore_ascii_case(b"false"))
}

#[cfg(test)]
mod tests;
