//! Clients and servers of tests on the wire: what each byte of a request and of
//! an answer is, is the test's to say and to see.
//!
//! ```text
//!   client    ordinary requests over HTTP/1.1 or HTTP/2
//!   verbatim  requests whose paths go out as they are
//!   raw       requests that are the caller's to the byte  ─┐
//!   capture   a peer that keeps what arrives              ─┴─▶ frames (HTTP/2)
//! ```

pub mod capture;
pub mod client;
pub mod frames;
pub mod raw;
pub mod verbatim;
