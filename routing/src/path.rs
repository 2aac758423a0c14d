//! The request path, as the API server will read it.
//!
//! net/http decodes percent-escapes of the whole path before it splits it, so
//! an escaped slash separates segments too. Only the look-up uses the decoded
//! form; the bytes forwarded are the bytes received.

use std::borrow::Cow;

use crate::target::Target;

/// A request path: as received, and without its query and percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'p> {
    raw: &'p [u8],
    /// `None` for a path with a broken escape, which the API server refuses.
    decoded: Option<Cow<'p, [u8]>>,
}

impl<'p> RequestPath<'p> {
    /// Reads the `:path` of a request, of any bytes. A path without escapes, as
    /// nearly every path is, is borrowed.
    #[must_use]
    pub fn new(raw: &'p [u8]) -> Self {
        let end = raw.iter().position(|&byte| byte == b'?').unwrap_or(raw.len());
        let path = raw.get(..end).unwrap_or(raw);
        Self { raw, decoded: percent_decode(path) }
    }

    /// The path as the client sent it, with its query.
    #[must_use]
    pub fn as_received(&self) -> &'p [u8] {
        self.raw
    }

    /// Returns what follows the first question mark, as the client sent it.
    pub(crate) fn query(&self) -> &'p [u8] {
        let end = self.raw.iter().position(|&byte| byte == b'?').unwrap_or(self.raw.len());
        self.raw.get(end..).and_then(|query| query.strip_prefix(b"?")).unwrap_or_default()
    }

    /// Returns the value of the query parameter `hash`, as received; empty if there is none. Of
    /// several, the first counts, as to Go's `url.Values.Get`.
    pub(crate) fn hash(&self) -> &'p [u8] {
        let mut parameters = self.query().split(|&byte| byte == b'&');
        parameters.find_map(|parameter| parameter.strip_prefix(b"hash=")).unwrap_or_default()
    }

    /// Returns the decoded path; empty if the API server refuses it.
    pub(crate) fn decoded(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or_default()
    }

    /// The decoded path, without a slash at its end.
    pub(crate) fn trimmed(&self) -> &[u8] {
        let path = self.decoded.as_deref().unwrap_or_default();
        path.strip_suffix(b"/").unwrap_or(path)
    }

    /// What the request asks for.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        self.decoded.as_deref().map_or(Target::NotAnApi, Target::parse)
    }
}

/// Decodes `%XX` like Go's `url.PathUnescape`; `None` if an escape is cut off or
/// not hexadecimal. Bytes without escapes are borrowed.
pub(crate) fn percent_decode(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !path.contains(&b'%') {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'%' {
            let high = hex_digit(*bytes.next()?)?;
            let low = hex_digit(*bytes.next()?)?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    Some(Cow::Owned(decoded))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests;
