//! A captured request.

use std::sync::Arc;

use crate::frames::Field;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (or 1.0).
    One,
    /// HTTP/2.
    Two,
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedRequest {
    /// The number of its connection.
    pub connection: u64,
    /// The client certificate (DER) that was presented on the connection.
    pub certificate: Option<Arc<[u8]>>,
    /// How it came.
    pub protocol: Protocol,
    /// The method.
    pub method: Vec<u8>,
    /// The request target, or `:path`.
    pub path: Vec<u8>,
    /// The headers in order, the pseudo-headers of HTTP/2 among them.
    pub headers: Vec<Field>,
    /// The trailers in order.
    pub trailers: Vec<Field>,
    /// The body, freed of its framing; after an answer 101 all that followed.
    pub body: Vec<u8>,
    /// Whether the request came to its end.
    pub complete: bool,
}

impl CapturedRequest {
    pub(super) fn new(protocol: Protocol, method: &[u8], path: &[u8], headers: Vec<Field>) -> Self {
        Self {
            connection: 0,
            certificate: None,
            protocol,
            method: method.to_vec(),
            path: path.to_vec(),
            headers,
            trailers: Vec::new(),
            body: Vec::new(),
            complete: false,
        }
    }

    /// Returns the first header of this name, which is in lower case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Returns the values of all headers of this name, which is in lower case.
    pub fn values<'r, 'n>(&'r self, name: &'n str) -> impl Iterator<Item = &'r [u8]> + use<'r, 'n> {
        let same = move |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(same).map(|(_, value)| value.as_slice())
    }

    /// Returns whether a comma-separated header has this token, in any case.
    pub(super) fn lists(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.values(name).flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|of| of.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}
