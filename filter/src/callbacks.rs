//! What Envoy calls, in place of the SDK's own callbacks.
//!
//! Each entry into the module costs more than what the filter does there. The
//! SDK keeps an object for each stream, and so must be entered when a stream
//! begins and when it ends. This filter remembers only the streams whose
//! response it holds back, so those two entries are saved: the ABI leaves it to
//! a module without `proxy_on_context_create` to keep its own state.
//!
//! `ship` exports these functions by the ABI's names (0.2.1) and drops the
//! SDK's of the same names.

use filter_core::{Action, ContextId, Filters, StreamId};

use crate::host::Envoy;
#[cfg(feature = "trap")]
use crate::trap;

thread_local! {
    // A VM has one thread.
    static FILTERS: Filters<Envoy> = const { Filters::new(Envoy) };
}

/// `proxy_on_configure`: whether the configuration is accepted.
#[unsafe(no_mangle)]
extern "C" fn filter_on_configure(root_context: u32, _size: usize) -> bool {
    let configured = FILTERS.with(|filters| filters.on_configure(ContextId(root_context)));
    if let Err(error) = &configured {
        log::error!("refused discovery map: {error}");
    }
    configured.is_ok()
}

/// `proxy_on_configure` of the module at the servers, which has no map.
#[unsafe(no_mangle)]
extern "C" fn at_server_on_configure(root_context: u32, _size: usize) -> bool {
    FILTERS.with(|filters| filters.judge_attempts(ContextId(root_context)));
    true
}

/// `proxy_on_tick`, by each configuration that asked for it.
#[unsafe(no_mangle)]
extern "C" fn filter_on_tick(root_context: u32) {
    FILTERS.with(|filters| filters.on_tick(ContextId(root_context)));
}

/// `proxy_on_request_headers`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_request_headers(stream: u32, _headers: usize, _end: u32) -> u32 {
    #[cfg(feature = "trap")]
    trap::on_request_headers();
    FILTERS.with(|filters| action(filters.on_request_headers(StreamId(stream))))
}

/// `proxy_on_request_trailers`; few requests have any.
#[unsafe(no_mangle)]
extern "C" fn filter_on_request_trailers(stream: u32, trailers: usize) -> u32 {
    FILTERS.with(|filters| action(filters.on_request_trailers(StreamId(stream), trailers)))
}

/// `proxy_on_response_headers`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_response_headers(stream: u32, _headers: usize, end: u32) -> u32 {
    #[cfg(feature = "trap")]
    trap::on_response_headers();
    FILTERS.with(|filters| action(filters.on_response_headers(StreamId(stream), end != 0)))
}

/// `proxy_on_response_body`.
#[unsafe(no_mangle)]
extern "C" fn filter_on_response_body(stream: u32, _size: usize, end: u32) -> u32 {
    FILTERS.with(|filters| action(filters.on_response_body(StreamId(stream), end != 0)))
}

/// `proxy_on_response_trailers`; few responses have any.
#[unsafe(no_mangle)]
extern "C" fn filter_on_response_trailers(stream: u32, _trailers: usize) -> u32 {
    FILTERS.with(|filters| action(filters.on_response_trailers(StreamId(stream))))
}

/// Returns the number of an action: of Envoy's `FilterHeadersStatus`, `FilterDataStatus` and
/// `FilterTrailersStatus`, which the ABI passes on. The last of these, `StopIterationNoBuffer`, is
/// one of `FilterDataStatus` alone, and the SDK has no name for it.
fn action(action: Action) -> u32 {
    match action {
        Action::Continue => 0,
        Action::Pause => 1,
        Action::Drop => 3,
    }
}
