//! Where a request goes, decided without a host: everything here is pure and
//! takes bytes as a client may send them.
//!
//! ```text
//!  :path ── RequestPath ── target ─┐
//!                                  ├── decide ── Decision ── forward to / answer 503
//!           discovery-map ─────────┘                │
//!                                                   └─ Watch: what of the response matters
//!  404 response ── not_found::is_type_level ─┬─ status::Refusal (503 + Retry-After)
//!                                            └─ absence::question ── Verdict
//!  discovery ── merged::question ── 200 │ 304 ── the merged document
//! ```
//!
//! Routing is never an authorization decision: the API server authenticates
//! and authorizes every request, and gets the path as the client sent it.

#![forbid(unsafe_code)]

mod accept;
mod decision;
pub mod interest;
pub mod merged;
pub mod not_found;
mod path;
pub mod status;
mod target;

pub use decision::{Decision, OnTypeLevelNotFound, Reason, decide};
pub use path::RequestPath;
pub use target::{ResourceTarget, Target};
