//! Publishing: from snapshots to the resources that Envoy has.
//!
//! ```text
//!  watch<Snapshot> ─▶ settle ─▶ Bucket ─▶ Publisher ─▶ Planner ─▶ state, then step by step: Sink
//!  watch<Settings> ──────────────────────────▲                                              │
//!                              each second: expired? damaged? ◀──────────── FileSink ◀──────┘
//! ```
//!
//! Invariants:
//! - A map is validated before anything of its push is published.
//! - Resources are published in the order in which Envoy must have them; see `publish/plan.rs`. The
//!   planner knows no files, and a sink knows no peers.
//! - A map speaks of a front proxy only if its certificate is published.
//! - What must be remembered is on disk before the push: a companion that was killed at any point
//!   goes on from there, with a greater generation.
//! - Nothing is published that says the same as what is there.

mod error;
mod file_sink;
pub mod metrics;
mod plan;
mod publisher;
mod sink;
mod task;

pub use error::PublishError;
pub use file_sink::FileSink;
pub use plan::{Name, Step, endpoints_around_map};
#[cfg(test)]
pub use publisher::Publication;
pub use publisher::Publisher;
pub use sink::Sink;
pub use task::{Outcome, run};
