//! One request's life in the filter, without a proxy: a state machine that is
//! entered by callbacks, reads through a narrow [`Host`], and says what is to
//! be done as data.
//!
//! ```text
//!  callback ─▶ Filters ─▶ Filter ─▶ decision (request, response) ─▶ Effect ─▶ apply ─▶ Host
//!              root id      │              ▲                                    │
//!                           │       plan · map · held                           └─ counts
//!                           └─ what outlives a callback: the map, what is held back
//! ```
//!
//! | callback | of a stream in state | effect |
//! |---|---|---|
//! | `on_request_headers` | new | `Route`, or `Refuse` |
//! | `on_request_trailers` | any | `StripTrailers`, `Pass` or `Refuse` |
//! | `on_response_headers` | any | `Pass`; `Hold`, `Doubt`, `Settle` or `ReplaceNotFound` for a 404; `Hold` or `SendDocument` for a document |
//! | `on_response_body`, `on_response_trailers` | held for its body | `Hold` again; `Pass`, `Doubt`, `Settle` or `ReplaceNotFound`; `SendDocument` |
//! | `on_response_body`, `on_response_trailers` | not held | `Pass` |
//!
//! The response callbacks run twice: for each attempt at a server, before the
//! proxy decides whether there is another one (`Doubt`, `Settle`), and for the
//! response that goes to the client. What the first phase settled does not enter
//! the second.
//!
//! Nothing here panics, whatever bytes a client or a server sends: a trap
//! would refuse the requests of the worker until the VM is loaded again.

#![forbid(unsafe_code)]

mod allotment;
mod apply;
mod bodies;
mod budget;
mod callbacks;
mod denied;
mod documents;
mod doubt;
mod effect;
mod evidence;
mod extensions;
mod filter;
mod filters;
mod headers;
mod host;
mod metrics;
mod request;
mod response;
mod skew_log;

#[cfg(any(test, feature = "mock"))]
pub mod mock;

pub use allotment::MAX_BODY_BYTES;
pub use bodies::MAX_BODIES;
pub use budget::PER_SECOND;
pub use filter::GENERATION;
pub use filters::Filters;
pub use headers::{Headers, serialize};
pub use host::{
    Action, Certificate, ClientCertificate, ContextId, HeaderMap, Host, Shared, StreamId,
};
pub use skew_log::MOST as MOST_LOGGED;
