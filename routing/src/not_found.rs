//! Telling a type-level 404 from an object-level one.
//!
//! A *type-level* 404 says that the server does not know the type; another
//! server may. Real kube-apiservers (1.35 to 1.37) send it as
//!
//! - `text/plain`, `404 page not found`: the group, or anything below a CRD's
//!   group, is unknown;
//! - a `Status` with the message below and empty `details`, in JSON, YAML,
//!   protobuf or CBOR (KEP-4222): the version or resource of a known group is
//!   unknown.
//!
//! An *object-level* 404 names the object in `details`, and is always the
//! truth. Any other 404 is the truth too, because it is not the API server's
//! own.

use crate::wire::Status;

const MESSAGE: &str = "the server could not find the requested resource";
const PLAIN_BODY: &[u8] = b"404 page not found\n";

/// The longest body worth reading, in bytes: the longest known type-level 404
/// (indented JSON) has 206.
pub const MAX_BODY_BYTES: usize = 1024;

/// What a 404 has besides its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'b> {
    /// All of it.
    Whole(&'b [u8]),
    /// Its length in bytes only: the answer to a HEAD request.
    Withheld(usize),
}

/// Returns whether a 404 with this `Content-Type` is a type-level one.
///
/// An answer to HEAD has only its length, so an object-level 404 that happens to
/// have the length of a type-level one is taken for one: 503 is the safe side.
#[must_use]
pub fn is_type_level(content_type: &[u8], body: Body<'_>) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    match (media_type, body) {
        (b"text/plain", Body::Whole(body)) => body == PLAIN_BODY,
        (b"application/json", Body::Whole(body)) => says_type_level(Status::from_json(body)),
        (b"application/yaml", Body::Whole(body)) => is_type_level_yaml(body),
        (b"application/vnd.kubernetes.protobuf", Body::Whole(body)) => {
            says_type_level(Status::from_protobuf(body))
        }
        (b"application/cbor", Body::Whole(body)) => is_type_level_cbor(body),
        (b"text/plain", Body::Withheld(length)) => length == PLAIN_BODY.len(),
        (b"application/json", Body::Withheld(length)) => matches!(length, 174 | 206),
        (b"application/yaml", Body::Withheld(length)) => length == 154,
        (b"application/vnd.kubernetes.protobuf", Body::Withheld(length)) => length == 116,
        (b"application/cbor", Body::Withheld(length)) => length == 146,
        _ => false,
    }
}

/// Reads the one form in which an API server writes this answer: a YAML parser
/// would be a large dependency for two lines.
fn is_type_level_yaml(body: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(body) else { return false };
    let has = |wanted: &str| text.lines().any(|line| line == wanted);
    has("details: {}") && has(&format!("message: {MESSAGE}"))
}

/// Looks for the message and the empty details: the encoder writes each string in one piece, and the
/// fields in any order (RFC 8949, sections 3.1 and 4.2).
fn is_type_level_cbor(body: &[u8]) -> bool {
    const NO_DETAILS: &[u8] = b"details\xa0";
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|part| part == wanted);
    has(MESSAGE.as_bytes()) && has(NO_DETAILS)
}

fn says_type_level(status: Option<Status>) -> bool {
    status.is_some_and(|status| {
        let details = status.details.unwrap_or_default();
        status.message == MESSAGE && details.name.is_empty() && details.kind.is_empty()
    })
}

#[cfg(test)]
mod tests;
