//! Every call to the host, and nothing else.
//!
//! The SDK's convenience getters panic on bytes that are not UTF-8, and its
//! `_bytes` getters on a map that is not readable in the phase at hand. So
//! each function here names the one phase in which it may be called, and
//! values are bytes.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType};

use crate::headers::{self, Headers};

use routing::status::{Encoding, Refusal};

/// The header by which the filter names the cluster. Envoy strips a client's
/// own: it is one of `internal_only_headers`.
pub(crate) const CLUSTER_HEADER: &str = "x-mixed-version-proxy-cluster";

/// `proxy_status_t`'s zero.
const STATUS_OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    // See `headers` for why these are not called through the SDK.
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    // The SDK panics on a status that it does not expect.
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
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

    pub(crate) fn increment(self) {
        ignore(hostcalls::increment_metric(self.0, 1));
    }

    pub(crate) fn record(self, value: u64) {
        ignore(hostcalls::record_metric(self.0, value));
    }
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
}

impl Map {
    fn id(self) -> u32 {
        match self {
            Self::RequestHeaders => MapType::HttpRequestHeaders as u32,
            Self::RequestTrailers => MapType::HttpRequestTrailers as u32,
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
pub(crate) fn answer(refusal: Refusal<'_>, encoding: Encoding) {
    let retry_after = refusal.retry_after_seconds().map(|seconds| seconds.to_string());
    let mut headers =
        vec![("content-type", encoding.media_type()), ("cache-control", "no-cache, private")];
    headers.extend(retry_after.as_deref().map(|seconds| ("retry-after", seconds)));
    let body = refusal.body(encoding);
    let code = u32::from(refusal.code());
    ignore(hostcalls::send_http_response(code, headers, Some(&body)));
}

/// The host refuses these calls only when the stream or the VM is on its way
/// out, and then there is nobody left to tell.
fn ignore<T, E>(_: Result<T, E>) {}
