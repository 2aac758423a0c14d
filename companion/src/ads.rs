//! Resources over ADS: Envoy's aggregated discovery service, in both of its forms (delta, and state
//! of the world), to any number of Envoys.
//!
//! ```text
//!  publish ──Step──▶ AdsSink ─Part─▶ Snapshots ──watch──▶ a task for each stream: Session ◀──▶ Envoy
//!  settings ─certificates, names─▶ listener (mutual TLS) ─▶ service ──┘    └─▶ Envoys ─▶ /v1/envoys
//! ```
//!
//! Invariants:
//! - Resources are encoded once, and shared by all streams that send them.
//! - A stream looks at the latest snapshot and has no queue of earlier ones. It has at most one
//!   unanswered push of each type, so no Envoy holds up another.
//! - Nothing is sent without mutual TLS, except by a mirror over a socket of its host. No private
//!   key is ever sent.
//! - Control planes do not wait for each other. A change of one sends nothing of another.
//! - Equal content has equal names and versions in every companion.

mod access;
mod body;
mod client;
mod connection;
mod envoy_version;
mod envoys;
mod following;
mod form;
mod kind;
mod listener;
mod local;
mod metadata;
pub mod metrics;
mod received;
mod resource;
mod selection;
mod service;
mod session;
mod sink;
mod snapshot;
mod snapshots;
mod stream;
mod told;
mod version;

pub use body::LARGEST_RESPONSE;
pub use envoys::{EnvoyView, Envoys, MIRROR, Refused};
pub use following::{Confirmed, Following};
pub use kind::{Kind, WILDCARD};
pub use local::LocalServer;
pub use metadata::asking;
pub use received::{is_endpoints_version, snapshot};
pub use resource::{Chain, Listener};
pub use selection::Selection;
pub use service::Server;
pub use session::owner;
pub use sink::AdsSink;
pub use snapshot::Snapshot;
pub use snapshots::Snapshots;
