//! Every call to the host, and nothing else.
//!
//! The SDK's convenience getters panic on bytes that are not UTF-8, and its
//! `_bytes` getters on a map that is not readable in the phase at hand. So
//! each function here names the one phase in which it may be called, and
//! values are bytes.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType};

use crate::headers::Headers;

use routing::status::{Encoding, RETRY_AFTER_SECONDS, Unavailable};

/// The header by which the filter names the cluster. Envoy strips a client's
/// own: it is one of `internal_only_headers`.
const CLUSTER_HEADER: &str = "x-mixed-version-proxy-cluster";

/// `proxy_status_t`'s zero.
const STATUS_OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    // See `headers` for why this one is not called through the SDK.
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
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

/// All headers of the request; in the request phase.
pub(crate) fn request_headers() -> Headers {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let map = MapType::HttpRequestHeaders as u32;
    // SAFETY: both pointers are to locals, which outlive the call.
    let status = unsafe { proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) };
    if status != STATUS_OK || data.is_null() {
        return Headers::new(Vec::new());
    }
    // SAFETY: the host got `data` from this module's `malloc`, which the SDK
    // implements by a boxed slice of just this size, and gives it up to us.
    Headers::new(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Sends the request to this cluster; in the request phase.
pub(crate) fn route_to(cluster: &str) {
    let value = Some(cluster.as_bytes());
    let map = MapType::HttpRequestHeaders;
    ignore(hostcalls::set_map_value_bytes(map, CLUSTER_HEADER, value));
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
pub(crate) fn answer(unavailable: Unavailable, encoding: Encoding) {
    let retry_after = RETRY_AFTER_SECONDS.to_string();
    let headers = vec![
        ("content-type", encoding.media_type()),
        ("cache-control", "no-cache, private"),
        ("retry-after", retry_after.as_str()),
    ];
    let body = unavailable.body(encoding);
    ignore(hostcalls::send_http_response(503, headers, Some(&body)));
}

/// The host refuses these calls only when the stream or the VM is on its way
/// out, and then there is nobody left to tell.
fn ignore<T, E>(_: Result<T, E>) {}
