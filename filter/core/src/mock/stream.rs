//! What the mock host keeps of a stream.

use std::collections::BTreeMap;

use crate::host::{Certificate, HeaderMap};

/// Names and values, in their order.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The request's headers: the client's, and then what goes on.
    pub request: Fields,
    /// The request's trailers: the client's, and then what goes on.
    pub trailers: Fields,
    /// The response's headers, as the server sent them.
    pub response: Fields,
    /// What is held back of the response's body.
    pub body: Vec<u8>,
    /// Whether the response is held back.
    pub is_held: bool,
    /// What was kept with the stream, by its key.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// The client's certificate.
    pub certificate: Option<Certificate>,
    /// Whether the response is a server's.
    pub is_from_server: bool,
    /// The filter's own answers.
    pub replies: Vec<Reply>,
    /// The address of the server of this attempt.
    pub server: String,
    /// The name of the cluster of this attempt.
    pub cluster: String,
    /// Whether another server is to be asked.
    pub is_marked: bool,
}

/// An answer of the filter's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub code: u16,
    /// The headers.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
}

impl Stream {
    pub(super) fn map(&self, map: HeaderMap) -> &Fields {
        match map {
            HeaderMap::Request => &self.request,
            HeaderMap::RequestTrailers => &self.trailers,
            HeaderMap::Response => &self.response,
        }
    }

    pub(super) fn map_mut(&mut self, map: HeaderMap) -> &mut Fields {
        match map {
            HeaderMap::Request => &mut self.request,
            HeaderMap::RequestTrailers => &mut self.trailers,
            HeaderMap::Response => &mut self.response,
        }
    }

    /// The values of a request header that goes on, joined by commas; `None` if
    /// it is not there.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<String> {
        let values = self.request.iter().filter(|(field, _)| field == name.as_bytes());
        let values: Vec<_> = values.map(|(_, value)| String::from_utf8_lossy(value)).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// The status codes of the filter's own answers.
    #[must_use]
    pub fn codes(&self) -> Vec<u16> {
        self.replies.iter().map(|reply| reply.code).collect()
    }
}

impl Reply {
    /// The value of a header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let value = value(&self.headers, name).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Fields from text.
#[must_use]
pub fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| (Vec::from(*name), Vec::from(*value))).collect()
}

/// The first value of a name.
pub(super) fn value(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let found = fields.iter().find(|(field, _)| field == name.as_bytes());
    found.map(|(_, value)| value.clone())
}
