//! Publishing: from snapshots to the files that Envoy watches.
//!
//! ```text
//!  watch<Snapshot> ─▶ settle ─▶ Bucket ─▶ Publisher::push ─▶ state, eds, sds, cds, ecds
//!  watch<Settings> ──────────────────────────▲
//!                              repair: every second ─▶ files as they were written?
//! ```
//!
//! Invariants:
//! - A map is validated before anything of its push is written.
//! - The files are written in the order in which Envoy must have them: the
//!   endpoints that leave a cluster, the secrets that the clusters name, the
//!   clusters, the map that names them, the endpoints that join. A cluster goes
//!   only some time after the last map that named it, and a secret some time
//!   after the last cluster that did.
//! - A map speaks of a front proxy only if its certificate is published.
//! - A file with a key in it is readable by its owner alone, at any time.
//! - What must be remembered is on disk before the push: a companion that was
//!   killed at any point goes on from there, with a greater generation.
//! - Nothing is written that says the same as what is there.

mod bucket;
mod found;
mod metrics;
mod publisher;
mod secrets;
mod task;

pub use metrics::{PublishMetrics, PushOutcome};
pub use publisher::{Publication, PublishError, Publisher};
pub use task::{Outcome, run};
