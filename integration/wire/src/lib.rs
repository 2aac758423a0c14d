//! Clients and servers that let a test choose and see each byte on the wire.
//!
//! ```text
//!   client    ordinary requests over HTTP/1.1 or HTTP/2
//!   verbatim  requests whose paths are sent unchanged
//!   raw       requests of any bytes           ─┐
//!   capture   a server that keeps what arrives ─┴─▶ frames (HTTP/2)
//! ```

pub mod capture;
pub mod client;
pub mod frames;
pub mod raw;
pub mod verbatim;

use std::time::Duration;

/// The longest time for making a connection, TLS included: a busy machine takes seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
