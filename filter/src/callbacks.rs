//! What Envoy calls, in place of the SDK's own callbacks.
//!
//! Each entry into the module costs more than what the filter does there. The
//! SDK keeps an object for each stream, and so must be entered when a stream
//! begins and when it ends. This filter keeps something only of the streams
//! whose response it holds back, so those two entries are saved: the ABI leaves
//! it to a module without `proxy_on_context_create` to keep its own state.
//!
//! `ship` exports these functions by the ABI's names (0.2.1) and drops the
//! SDK's of the same names.

use proxy_wasm::types::Action;

use crate::{companion, metrics, plugin, stream};

/// `proxy_on_configure`: whether the configuration is accepted.
#[unsafe(no_mangle)]
extern "C" fn filter_on_configure(_root_context: u32, _size: usize) -> bool {
    plugin::configure()
}

/// `proxy_on_tick`, by each configuration that is in use.
#[unsafe(no_mangle)]
extern "C" fn filter_on_tick(_root_context: u32) {
    plugin::with_metrics(metrics::Metrics::publish);
}

/// `proxy_on_request_headers`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_request_headers(_context: u32, _headers: usize, _end: u32) -> Action {
    stream::on_request_headers()
}

/// `proxy_on_request_trailers`; few requests have any.
#[unsafe(no_mangle)]
extern "C" fn filter_on_request_trailers(_context: u32, trailers: usize) -> Action {
    stream::on_request_trailers(trailers)
}

/// `proxy_on_response_headers`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_response_headers(context: u32, _headers: usize, end: u32) -> Action {
    stream::on_response_headers(context, end != 0)
}

/// `proxy_on_response_body`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_response_body(context: u32, _size: usize, end: u32) -> Action {
    stream::on_response_body(context, end != 0)
}

/// `proxy_on_http_call_response`: the answer of the companion, or that there
/// is none. The host keeps questions by the root context, not by the stream
/// that asked.
#[unsafe(no_mangle)]
extern "C" fn filter_on_http_call_response(
    _root_context: u32,
    token: u32,
    headers: usize,
    _body_size: usize,
    _trailers: usize,
) {
    companion::on_answer(token, headers > 0);
}
