//! The HTTP filter that Envoy loads: its callbacks enter `filter_core`, which
//! decides, and calls Envoy back through `host`.
//!
//! ```text
//!  Envoy ── callbacks ──▶ filter_core::Filter ──▶ host ──▶ Envoy
//! ```
//!
//! Only `host` talks to Envoy, and only there is code unsafe. Envoy skips
//! `on_response_headers` for responses that do not matter.

mod callbacks;
mod host;
#[cfg(feature = "trap")]
mod trap;

/// What Envoy calls first.
mod entry {
    use proxy_wasm::types::LogLevel;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
    }}
}
