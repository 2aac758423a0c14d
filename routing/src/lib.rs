//! What happens to a request, decided without a host: everything here is pure
//! and takes bytes as a client may send them.
//!
//! ```text
//!  RequestFacts ─┐
//!                ├─ plan ── Plan ─┬─ destination: a cluster, or 503
//!  DiscoveryMap ─┘                ├─ access check, for a merged document
//!                                 └─ ResponseInterest: what of the response matters
//!  Plan ── in_mode ── the plan as the map's mode lets it be carried out
//!  404 response ── not_found::is_type_level ── status::Refusal (503 + Retry-After)
//!  200 or 304 to an access check ── merged::ReadOptions::answer ── the merged document
//! ```
//!
//! Routing is never an authorization decision: the API server authenticates
//! and authorizes every request, and gets the path as the client sent it.

#![forbid(unsafe_code)]

mod accept;
mod component;
mod decision;
mod encode;
mod indentation;
pub mod interest;
pub mod merged;
mod mode;
pub mod not_found;
mod openapi_accept;
mod path;
mod plan;
mod skew_policy;
pub mod status;
mod target;
mod verb;
mod wire;

pub use component::{Component, ComponentVersion};
pub use decision::Reason;
pub use encode::encode;
pub use mode::RequestChange;
pub use path::RequestPath;
pub use plan::{Plan, RequestFacts, plan};
pub use skew_policy::{Skew, SkewOutcome};
pub use target::{ResourceTarget, Target};
