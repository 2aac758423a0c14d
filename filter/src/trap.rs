//! For tests only: traps, to see what Envoy does then. What ships is built
//! without this file.

use filter_core::{HeaderMap, Host};
use routing::interest::ResponseInterest;

use crate::host::Envoy;

/// Traps on a request for `/trap`.
pub(crate) fn on_request_headers() {
    let is_trap = |(name, value): (&[u8], &[u8])| name == b":path" && value == b"/trap";
    if Envoy.headers(HeaderMap::Request).iter().any(is_trap) {
        std::process::abort();
    }
}

/// Traps on a response that does not matter: Envoy's matcher must keep it out.
pub(crate) fn on_response_headers() {
    let status = Envoy.response_header(":status").unwrap_or_default();
    let state = Envoy.filter_state(routing::interest::STATE);
    match ResponseInterest::from_bytes(state.as_deref()) {
        ResponseInterest::Document(_) => {}
        ResponseInterest::NotFound(_) if status == b"404" => {}
        _ => std::process::abort(),
    }
}
