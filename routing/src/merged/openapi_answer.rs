//! The answer with a merged document of OpenAPI v3: as k8s.io/kube-openapi/pkg/handler3
//! (`HandleGroupVersion`) and Go's `http.ServeContent` give it. A URL with the document's hash may
//! be cached for a year; one with another hash is redirected to it. Nothing is compressed.

use std::borrow::Cow;

use discovery_map::{Content, DocumentForm, MergedDocument};

use super::answer::{MergedAnswer, ReadOptions, is_about_the_document, quoted};

/// Returns whether this is how the document is answered.
pub(super) fn is_for(document: &MergedDocument) -> bool {
    document.path.starts_with("/openapi/v3/")
}

/// Returns the answer; `peer` is the headers of the server that let the client read.
pub(super) fn answer<'a>(
    options: &ReadOptions<'_>,
    document: &MergedDocument,
    content: &'a Content,
    peer: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> MergedAnswer<'a> {
    let peer: Vec<_> = peer.filter(|(name, _)| !is_about_the_document(name)).collect();
    let date = peer.iter().find(|(name, _)| *name == b"date").map(|(_, value)| *value);
    let mut headers: Vec<(&[u8], Cow<'_, [u8]>)> =
        peer.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    let mut set = |name: &'static str, value: String| {
        headers.push((name.as_bytes(), Cow::Owned(value.into_bytes())));
    };
    // The map has it for every such document.
    let etag = document.etag.as_deref().unwrap_or_default();
    set("vary", "Accept".to_owned());
    set("etag", quoted(etag));
    let is_named = options.hash == etag.as_bytes();
    if is_named {
        set("cache-control", "public, immutable".to_owned());
        if let Some(expires) = date.and_then(one_year_after) {
            set("expires", expires);
        }
    } else {
        set("cache-control", "no-cache, private".to_owned());
    }
    if !is_named && !options.hash.is_empty() {
        set("content-type", content_type(document).to_owned());
        set("location", format!("{}?hash={etag}", document.path));
        return MergedAnswer { code: 301, headers, body: b"" };
    }
    if options.if_none_match.is_some_and(|list| matches(list, etag.as_bytes())) {
        return MergedAnswer { code: 304, headers, body: b"" };
    }
    set("content-type", content_type(document).to_owned());
    MergedAnswer { code: 200, headers, body: content.plain() }
}

fn content_type(document: &MergedDocument) -> &'static str {
    match document.form {
        DocumentForm::Protobuf => "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
        _ => "application/json",
    }
}

/// Returns whether a value of `If-None-Match` names this `ETag` (RFC 9110, 13.1.2). No `ETag` of
/// ours has a comma.
fn matches(list: &[u8], etag: &[u8]) -> bool {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|candidate| {
        let opaque = candidate.strip_prefix(b"W/").unwrap_or(candidate);
        let opaque = opaque.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        candidate == b"*" || opaque == Some(etag)
    })
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Returns the same time one year later. `date` is an HTTP date in the form that servers must send
/// (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`. `None` if it is not.
fn one_year_after(date: &[u8]) -> Option<String> {
    let text = str::from_utf8(date).ok()?;
    let mut parts = text.strip_suffix(" GMT")?.split(' ').skip(1);
    let day: usize = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = parts.next()?.parse::<usize>().ok().filter(|year| *year < 9999)? + 1;
    let time = parts.next().filter(|_| (1..=31).contains(&day))?;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // There is no such day in the year after a leap year.
    let (day, month) = if (day, month) == (29, 1) && !is_leap { (1, 2) } else { (day, month) };
    // Sakamoto's method: January and February count to the year before.
    let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4].get(month)?;
    let before = if month < 2 { year - 1 } else { year };
    let weekday = (before + before / 4 - before / 100 + before / 400 + shift + day) % 7;
    let (weekday, month) = (WEEKDAYS.get(weekday)?, MONTHS.get(month)?);
    Some(format!("{weekday}, {day:02} {month} {year} {time} GMT"))
}

#[cfg(test)]
mod tests;
