//! Every call to the host, and nothing else.
//!
//! The SDK's convenience getters panic on bytes that are not UTF-8, and its
//! `_bytes` getters on a map that is not readable in the phase at hand. So
//! each function here names the one phase in which it may be called, and
//! values are bytes.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType, StreamType};

use crate::headers::{self, Headers};

use discovery_map::CLUSTER_HEADER;
use routing::interest;
use routing::status::{Encoding, Refusal};

/// `proxy_status_t`'s zero.
const STATUS_OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    // See `headers` for why these are not called through the SDK.
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    // The SDK panics on a status of these two that it does not expect.
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, data: *const u8, size: usize) -> u32;
    // The SDK takes headers as text only, and keeps each callout in memory
    // until its own dispatcher, which this module does not have, is told.
    fn proxy_send_local_response(
        code: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_milliseconds: u32,
        token: *mut u32,
    ) -> u32;
    // These for the same reason as `proxy_get_property`.
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
}

/// The id of a metric that the host keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric(u32);

impl Metric {
    pub(crate) fn counter(name: &str) -> Option<Self> {
        hostcalls::define_metric(MetricType::Counter, name).ok().map(Self)
    }

    pub(crate) fn gauge(name: &str) -> Option<Self> {
        hostcalls::define_metric(MetricType::Gauge, name).ok().map(Self)
    }

    pub(crate) fn add(self, count: u64) {
        ignore(hostcalls::increment_metric(self.0, i64::try_from(count).unwrap_or(i64::MAX)));
    }

    pub(crate) fn record(self, value: u64) {
        ignore(hostcalls::record_metric(self.0, value));
    }
}

/// Has `filter_on_tick` called each time that this has passed, as long as the
/// configuration at hand is in use; in `on_configure`.
pub(crate) fn tick_every(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: only numbers are exchanged.
    ignore(unsafe { proxy_set_tick_period_milliseconds(milliseconds) });
}

/// The plugin's configuration; in `on_configure`.
pub(crate) fn configuration() -> Vec<u8> {
    let buffer = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
    buffer.ok().flatten().unwrap_or_default()
}

/// Maps of headers that the filter reads and replaces as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Map {
    /// In the request phase.
    RequestHeaders,
    /// In `on_request_trailers`.
    RequestTrailers,
    /// In the response phase, before the body.
    ResponseHeaders,
}

impl Map {
    fn id(self) -> u32 {
        match self {
            Self::RequestHeaders => MapType::HttpRequestHeaders as u32,
            Self::RequestTrailers => MapType::HttpRequestTrailers as u32,
            Self::ResponseHeaders => MapType::HttpResponseHeaders as u32,
        }
    }

    /// All headers of the map.
    pub(crate) fn get(self) -> Headers {
        let headers = received(|data, size| {
            // SAFETY: both pointers are to locals of `received`, which outlive the call.
            unsafe { proxy_get_header_map_pairs(self.id(), data, size) }
        });
        Headers::new(headers.unwrap_or_default())
    }

    /// Puts these headers in place of all that the map has, in one call:
    /// whether the host did. It is all or nothing.
    pub(crate) fn replace(self, headers: &[(&[u8], &[u8])]) -> bool {
        let serialized = headers::serialize(headers);
        // SAFETY: the bytes outlive the call, and the host only reads them.
        let status =
            unsafe { proxy_set_header_map_pairs(self.id(), serialized.as_ptr(), serialized.len()) };
        status == STATUS_OK
    }
}

/// A client certificate that Envoy verified.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The subject, in the form of RFC 2253.
    pub(crate) subject: Vec<u8>,
    /// The SHA-256 of the certificate (DER), in hexadecimal digits.
    pub(crate) sha256: Vec<u8>,
}

/// The certificate of the client's connection (Envoy's attributes
/// `connection.*`); none if it presented none.
pub(crate) fn client_certificate() -> Option<Certificate> {
    let sha256 = property(b"connection\0sha256_peer_certificate_digest").unwrap_or_default();
    if sha256.is_empty() {
        return None;
    }
    let subject = property(b"connection\0subject_peer_certificate").unwrap_or_default();
    Some(Certificate { subject, sha256 })
}

/// An attribute by its path, the parts of which are separated by NUL.
fn property(path: &[u8]) -> Option<Vec<u8>> {
    received(|data, size| {
        // SAFETY: the path outlives the call; the pointers are to locals of `received`.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    })
}

/// Whether the response is a server's, and not Envoy's own; in the response
/// phase.
pub(crate) fn is_of_a_server() -> bool {
    property(b"response\0code_details").as_deref() == Some(b"via_upstream")
}

/// Keeps this with the stream, in the request phase, for the response phase and
/// for the matcher that Envoy asks whether to enter the filter then: whether the
/// host did.
pub(crate) fn set_filter_state(value: &[u8]) -> bool {
    let name = interest::STATE.as_bytes();
    // SAFETY: the bytes outlive the call, and the host only reads them.
    let status =
        unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    status == STATUS_OK
}

/// What the request phase kept with the stream.
pub(crate) fn filter_state() -> Option<Vec<u8>> {
    property(interest::STATE.as_bytes())
}

/// Bytes that a host call hands over; none if it does not say that all is well.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = call(&raw mut data, &raw mut size);
    if status != STATUS_OK || data.is_null() {
        return None;
    }
    // SAFETY: the host got `data` from this module's `malloc`, which the SDK
    // implements by a boxed slice of just this size, and gives it up to us.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Sends the request to this cluster, in the request phase: whether the host
/// did.
pub(crate) fn route_to(cluster: &str) -> bool {
    let value = Some(cluster.as_bytes());
    hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, CLUSTER_HEADER, value).is_ok()
}

/// A header of the response; in the response phase, before the body.
pub(crate) fn response_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()
}

/// At most `limit` bytes of what was held back of the body; in `on_response_body`.
pub(crate) fn response_body(limit: usize) -> Vec<u8> {
    let buffer = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, limit);
    buffer.ok().flatten().unwrap_or_default()
}

/// Answers in the API server's stead; once a stream.
pub(crate) fn refuse(refusal: Refusal<'_>, encoding: Encoding) {
    let retry_after = refusal.retry_after_seconds().map(|seconds| seconds.to_string());
    let mut headers = vec![
        (&b"content-type"[..], encoding.media_type().as_bytes()),
        (b"cache-control", b"no-cache, private"),
    ];
    headers.extend(retry_after.as_deref().map(|s| (&b"retry-after"[..], s.as_bytes())));
    answer(refusal.code(), &headers, &refusal.body(encoding));
}

/// Answers with this; once a stream. What is held back of a server's answer is
/// dropped.
pub(crate) fn answer(code: u16, headers: &[(&[u8], &[u8])], body: &[u8]) {
    const NO_GRPC_STATUS: i32 = -1;
    let headers = headers::serialize(headers);
    // SAFETY: all bytes outlive the call, and the host only reads them.
    let status = unsafe {
        proxy_send_local_response(
            code.into(),
            std::ptr::null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    };
    ignore(status);
}

/// A GET of this cluster for the stream at hand: its token, or none if it
/// could not even be begun. `filter_on_http_call_response` gets the answer, also
/// if the stream has ended by then.
pub(crate) fn ask(cluster: &str, path: &str, timeout_milliseconds: u32) -> Option<u32> {
    let headers = headers::serialize(&[
        (b":method", b"GET"),
        (b":path", path.as_bytes()),
        (b":authority", cluster.as_bytes()),
    ]);
    let trailers = headers::serialize(&[]);
    let mut token = 0;
    // SAFETY: all bytes outlive the call, and the host only reads them; `token`
    // is a local.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            std::ptr::null(),
            0,
            trailers.as_ptr(),
            trailers.len(),
            timeout_milliseconds,
            &raw mut token,
        )
    };
    (status == STATUS_OK).then_some(token)
}

/// A header of the answer to [`ask`]; in `on_http_call_response`.
pub(crate) fn call_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name).ok().flatten()
}

/// Makes what is called next be about this stream, until the callback returns:
/// whether the stream is still there.
pub(crate) fn speak_for(context: u32) -> bool {
    // SAFETY: only numbers are exchanged.
    unsafe { proxy_set_effective_context(context) == STATUS_OK }
}

/// Lets the response go on that was held back, outside of its own callbacks.
pub(crate) fn resume_response() {
    // SAFETY: only numbers are exchanged.
    ignore(unsafe { proxy_continue_stream(StreamType::HttpResponse as u32) });
}

/// The host refuses these calls only when the stream or the VM is on its way
/// out, and then there is nobody left to tell.
fn ignore<T>(_: T) {}
