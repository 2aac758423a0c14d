//! Strict 404: finds out whether any peer serves a type.
//!
//! ```text
//!  filter ─▶ serve ──AbsenceQuery─▶ Prober ──▶ every serving peer, at once
//!                  ◀────Absence────    │
//!                                      └─Report─▶ index ─▶ … ─▶ map
//! ```
//!
//! The filter asks when an API server answered that it does not know a type, and the map does not
//! know it either. What a peer said before the query does not count: the type may be there since.

pub mod metrics;
mod prober;
mod query;

pub use prober::Prober;
pub use query::{Asker, channel};
