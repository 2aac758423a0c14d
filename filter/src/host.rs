//! Envoy as the filter's host: every call to it, and nothing else.
//!
//! The SDK's convenience getters panic on bytes that are not UTF-8, and its
//! `_bytes` getters on a map that is not readable in the phase at hand
//! (`clippy.toml` bans the first). So each function of [`Host`] names the one
//! phase in which it may be called, and values are bytes.

use std::time::Duration;

use discovery_map::{CLUSTER_HEADER, DOUBT_HEADER, DOUBT_MARK};
use filter_core::{
    Certificate, ClientCertificate, ContextId, HeaderMap, Headers, Host, Shared, serialize,
};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};

/// `proxy_status_t`'s zero.
const STATUS_OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    // See `filter_core::Headers` for why these are not called through the SDK.
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
    // The SDK takes headers as text only.
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
    // These for the same reason as `proxy_get_property`.
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
}

/// The proxy that this module runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envoy;

/// The number of a metric that the host keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric(u32);

impl Host for Envoy {
    type Metric = Metric;

    fn configuration(&self) -> Vec<u8> {
        let buffer = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        buffer.ok().flatten().unwrap_or_default()
    }

    /// It can be empty.
    fn root_id(&self) -> Option<Vec<u8>> {
        const PATH: &[u8] = b"plugin_root_id";
        answered(|data, size| {
            // SAFETY: the path outlives the call; the pointers are to locals of `answered`.
            unsafe { proxy_get_property(PATH.as_ptr(), PATH.len(), data, size) }
        })
    }

    /// A call in the name of a context succeeds only while there is one.
    fn is_gone(&self, other: ContextId, own: ContextId) -> bool {
        let is_there = act_for(other);
        act_for(own) && !is_there
    }

    /// As a stream, it is about the stream's root context.
    fn tick_every(&self, period: Duration) {
        let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: only numbers are exchanged.
        ignore(unsafe { proxy_set_tick_period_milliseconds(milliseconds) });
    }

    fn stop_ticks(&self, of: ContextId, own: ContextId) {
        if of == own || act_for(of) {
            self.tick_every(Duration::ZERO);
        }
        act_for(own);
    }

    fn headers(&self, map: HeaderMap) -> Headers {
        let headers = received(|data, size| {
            // SAFETY: both pointers are to locals of `answered`, which outlive the call.
            unsafe { proxy_get_header_map_pairs(number(map), data, size) }
        });
        Headers::new(headers.unwrap_or_default())
    }

    fn replace_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> bool {
        let serialized = serialize(headers);
        // SAFETY: the bytes outlive the call, and the host only reads them.
        let status = unsafe {
            proxy_set_header_map_pairs(number(map), serialized.as_ptr(), serialized.len())
        };
        status == STATUS_OK
    }

    fn set_cluster_header(&self, cluster: &str) -> bool {
        let value = Some(cluster.as_bytes());
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, CLUSTER_HEADER, value).is_ok()
    }

    /// Envoy's attributes `connection.*`. Every certificate has a digest, and
    /// `connection.mtls`, one byte, is false if the client presented none.
    fn client_certificate(&self) -> ClientCertificate {
        let sha256 = property(b"connection\0sha256_peer_certificate_digest");
        let sha256 = sha256.filter(|digest| !digest.is_empty());
        match (sha256, property(b"connection\0subject_peer_certificate")) {
            (Some(sha256), Some(subject)) => {
                ClientCertificate::Verified(Certificate { subject, sha256 })
            }
            (None, _) if property(b"connection\0mtls").as_deref() == Some(&[0]) => {
                ClientCertificate::None
            }
            _ => ClientCertificate::Unreadable,
        }
    }

    /// Envoy's matchers read it too. All attempts at a stream share it.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> bool {
        // SAFETY: the bytes outlive the call, and the host only reads them.
        let status =
            unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
        status == STATUS_OK
    }

    fn filter_state(&self, key: &str) -> Option<Vec<u8>> {
        property(key.as_bytes())
    }

    fn server_address(&self) -> Option<Vec<u8>> {
        property(b"upstream\0address")
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        property(b"xds\0cluster_name")
    }

    fn ask_again(&self) -> bool {
        hostcalls::set_map_value_bytes(
            MapType::HttpResponseHeaders,
            DOUBT_HEADER,
            Some(DOUBT_MARK.as_bytes()),
        )
        .is_ok()
    }

    fn remove_mark(&self) {
        ignore(hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, DOUBT_HEADER, None));
    }

    fn share(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        // SAFETY: the bytes outlive the call, and the host only reads them.
        let status = unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
        };
        status == STATUS_OK
    }

    fn shared(&self, key: &[u8]) -> Option<Shared> {
        let mut version = 0;
        let value = received(|data, size| {
            // SAFETY: the key outlives the call; the pointers are to locals.
            unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version) }
        });
        value.map(|value| Shared { value, version })
    }

    fn now(&self) -> Duration {
        let mut nanoseconds = 0;
        // SAFETY: the pointer is to a local.
        ignore(unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) });
        Duration::from_nanos(nanoseconds)
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()
    }

    fn is_from_server(&self) -> bool {
        property(b"response\0code_details").as_deref() == Some(b"via_upstream")
    }

    fn response_body(&self, limit: usize) -> Vec<u8> {
        let buffer = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, limit);
        buffer.ok().flatten().unwrap_or_default()
    }

    fn respond(&self, code: u16, headers: &[(&[u8], &[u8])], body: &[u8]) {
        const NO_GRPC_STATUS: i32 = -1;
        let headers = serialize(headers);
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

    fn warn(&self, line: &str) {
        ignore(hostcalls::log(LogLevel::Warn, line));
    }

    fn counter(&self, name: &str) -> Option<Metric> {
        hostcalls::define_metric(MetricType::Counter, name).ok().map(Metric)
    }

    fn gauge(&self, name: &str) -> Option<Metric> {
        hostcalls::define_metric(MetricType::Gauge, name).ok().map(Metric)
    }

    fn add(&self, counter: Metric, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ignore(hostcalls::increment_metric(counter.0, count));
    }

    fn record(&self, gauge: Metric, value: u64) {
        ignore(hostcalls::record_metric(gauge.0, value));
    }
}

fn number(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => MapType::HttpRequestHeaders as u32,
        HeaderMap::RequestTrailers => MapType::HttpRequestTrailers as u32,
        HeaderMap::Response => MapType::HttpResponseHeaders as u32,
    }
}

/// An attribute by its path, whose parts are separated by NUL.
fn property(path: &[u8]) -> Option<Vec<u8>> {
    received(|data, size| {
        // SAFETY: the path outlives the call; the pointers are to locals of `answered`.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    })
}

/// The bytes that a host call hands over; none unless it succeeds and there are any.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    answered(call).filter(|bytes| !bytes.is_empty())
}

/// The bytes that a host call hands over, maybe none; `None` unless it succeeds.
fn answered(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    if call(&raw mut data, &raw mut size) != STATUS_OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host got `data` from this module's `malloc`, which the SDK
    // implements by a boxed slice of just this size, and gives it up to us.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Makes calls of the host count as those of this context, until the callback ends. Returns whether
/// there is one.
fn act_for(context: ContextId) -> bool {
    // SAFETY: only numbers are exchanged.
    unsafe { proxy_set_effective_context(context.0) == STATUS_OK }
}

/// The host refuses these calls only when the stream or the VM is about to end,
/// and then there is nobody left to tell.
fn ignore<T>(_: T) {}
