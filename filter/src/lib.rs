//! The HTTP filter that Envoy loads: a thin layer between the callbacks of
//! the host and the decisions of `routing`.
//!
//! ```text
//!  on_configure ─── map ──► current map (one a VM)
//!                                │
//!  on_request_headers ── :path ──┴─► decision ─► cluster header │ 503
//!                     └─ certificate? ─► identity headers │ 401; a client's own removed
//!  on_request_trailers ── a client's own identity headers removed
//!  on_response_headers ─ :status ─┬► 404 that could be wrong? ──► wait for the body
//!                                 └► 200 │ 304 of discovery ────► merged document
//!  on_response_body ──── body ─────► type-level? ─┬─────────────► 503 │ as it came
//!                                                 └► the companion is asked first
//!  on_http_call_response ─ its verdict ─────────────────────────► 503 │ as it came
//! ```
//!
//! Envoy skips `on_response_headers` for responses that do not matter.
//!
//! Only `host` talks to the host, and only there is code unsafe. A trap here
//! would refuse requests of the worker until the VM is loaded again, so nothing
//! may panic, whatever bytes a client or a peer sends.

mod absence;
mod callbacks;
mod companion;
mod headers;
mod held;
mod host;
mod metrics;
mod plugin;
mod request;
mod stream;

/// What Envoy calls first.
mod entry {
    use proxy_wasm::types::LogLevel;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
    }}
}
