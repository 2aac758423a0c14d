//! Clients and servers of tests on the wire: what each byte of a request and of
//! an answer is, is the test's to say and to see.
//!
//! ```text
//!   client   ordinary requests over HTTP/1.1 or HTTP/2
//!   http1    a client that gives the answer as it came
//!   raw      clients whose requests are the caller's to the byte  ─┐
//!   capture  a peer that writes down what arrives                 ─┴─▶ frames (HTTP/2)
//! ```

pub mod capture;
pub mod client;
pub mod frames;
pub mod http1;
pub mod raw;
