//! What the filter needs of the proxy.

use std::fmt::Debug;
use std::time::Duration;

use crate::headers::Headers;

/// A stream: one request and its response. The host never uses a number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// A configuration of the filter at the host, such as a map of one control plane. Streams keep the
/// one that they began with. The host practically never uses a number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextId(pub u32);

/// What the host does after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The stream goes on.
    Continue,
    /// The stream stops here: it is answered, or held back.
    Pause,
    /// The same, and the host drops this piece of the body, which would otherwise count against
    /// its buffer's limit; in `on_response_body`.
    Drop,
}

/// Headers that the filter reads, and replaces, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMap {
    /// In `on_request_headers`.
    Request,
    /// In `on_request_trailers`.
    RequestTrailers,
    /// In `on_response_headers`.
    Response,
}

/// A client certificate that the proxy verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, in the form of RFC 2253.
    pub subject: Vec<u8>,
    /// The SHA-256 of the certificate (DER), in hexadecimal digits.
    pub sha256: Vec<u8>,
}

/// What the proxy says about a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The client presented none.
    None,
    /// The client presented this one, and the proxy verified it.
    Verified(Certificate),
    /// The proxy does not tell whether there is one, or not all that it says.
    Unreadable,
}

/// What a VM made known to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The bytes.
    pub value: Vec<u8>,
    /// Changes with each that is made known.
    pub version: u32,
}

/// The proxy, as the filter sees it. Each call is about the stream whose
/// callback is running. A call that returns whether it succeeded did nothing if it did not.
pub trait Host {
    /// A counter or gauge that the host keeps.
    type Metric: Copy + Debug;

    /// The configuration: the map as JSON; in `on_configure`.
    fn configuration(&self) -> Vec<u8>;

    /// Returns the root identifier of the configuration that the callback is about: the stream's,
    /// or the one that is configured or ticks. `None` if the host does not tell.
    fn root_id(&self) -> Option<Vec<u8>>;

    /// Returns whether the host has dropped the configuration `other`, and so every stream that began
    /// with it; in a callback about the configuration `own`.
    fn is_gone(&self, other: ContextId, own: ContextId) -> bool;

    /// Requests a call of `on_tick` once a period, about the configuration that this callback is
    /// about. If the host drops the configuration, there are no more calls.
    fn tick_every(&self, period: Duration);

    /// Ends these calls about the configuration `of`; in a callback about the configuration `own`.
    fn stop_ticks(&self, of: ContextId, own: ContextId);

    /// All headers of a map; none if the host does not hand them over.
    fn headers(&self, map: HeaderMap) -> Headers;

    /// Replaces all headers of a map, in one call. Returns whether it succeeded.
    fn replace_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> bool;

    /// Sets the cluster header; in `on_request_headers`. Returns whether it
    /// succeeded.
    fn set_cluster_header(&self, cluster: &str) -> bool;

    /// Returns the certificate of the client; in `on_request_headers`.
    fn client_certificate(&self) -> ClientCertificate;

    /// Keeps bytes with the stream, for all attempts at it. Returns whether it
    /// succeeded.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> bool;

    /// Returns the bytes that were kept with the stream.
    fn filter_state(&self, key: &str) -> Option<Vec<u8>>;

    /// Returns the address of the server of this attempt, with its port.
    fn server_address(&self) -> Option<Vec<u8>>;

    /// The name of the cluster of this attempt.
    fn cluster(&self) -> Option<Vec<u8>>;

    /// Marks the response to this attempt, so that the proxy asks another server.
    /// Returns whether it succeeded.
    fn ask_again(&self) -> bool;

    /// Removes the mark from the response to this attempt, if a server sent one. The
    /// proxy refuses that only while there is no response.
    fn remove_mark(&self);

    /// Makes bytes known to all VMs of this filter under a key, in place of those with this
    /// [`version`](Shared::version); 0 replaces any. Returns whether they were still
    /// the last.
    fn share(&self, key: &[u8], value: &[u8], version: u32) -> bool;

    /// Returns what a VM made known last under this key.
    fn shared(&self, key: &[u8]) -> Option<Shared>;

    /// Returns the time since any fixed moment, the same for all VMs.
    fn now(&self) -> Duration;

    /// A header of the response; in `on_response_headers`.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;

    /// Returns whether a server sent the response, and not the proxy itself; in
    /// the response phase.
    fn is_from_server(&self) -> bool;

    /// At most `limit` bytes of the body that is held back, without what was dropped; in
    /// `on_response_body`, and after [`Action::Pause`] also in `on_response_trailers`.
    fn response_body(&self, limit: usize) -> Vec<u8>;

    /// Answers the stream, at most once. What is held back of a server's answer
    /// is dropped.
    fn respond(&self, code: u16, headers: &[(&[u8], &[u8])], body: &[u8]);

    /// Writes a line to the proxy's log, as a warning.
    fn warn(&self, line: &str);

    /// Defines a counter; `None` if the host has no room for it.
    fn counter(&self, name: &str) -> Option<Self::Metric>;

    /// Defines a gauge; `None` if the host has no room for it.
    fn gauge(&self, name: &str) -> Option<Self::Metric>;

    /// Adds to a counter.
    fn add(&self, counter: Self::Metric, count: u64);

    /// Sets a gauge.
    fn record(&self, gauge: Self::Metric, value: u64);
}
