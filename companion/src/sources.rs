//! Where the peers of a control plane come from.
//!
//! ```text
//!  config ─▶ Task ──starts──▶ static list, dns, slices
//!             ▲  │                          │
//!             │  └─Roster─▶ poll, index     │
//!             └────────────News─────────────┘
//! ```
//!
//! A source says which API servers there are. It does not say which of them are ready: that is
//! what polling finds, with the control plane's own CA. So whatever a source says by mistake,
//! nothing gets requests that is not verified.
//!
//! Invariants:
//! - A source that fails, or has no server at all, changes nothing: the last peers stay.
//! - A peer keeps its name as long as the source has its address ([`names`]).
//! - What a source no longer has is for the index to remember, and never for a source to forget.

mod dns;
pub mod metrics;
mod names;
mod news;
mod slices;
mod standing;
mod task;

#[cfg(test)]
pub use standing::SourceKind;
pub use standing::{SourceState, SourceStatus};
pub use task::{Outputs, Task, first_roster};
