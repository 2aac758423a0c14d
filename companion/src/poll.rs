//! Polls the peers: one task each, which asks and reports, and decides nothing
//! but how the asking went.
//!
//! ```text
//!  config, roster ──▶ Watchers ──spawn──▶ task per peer ──Report──▶ channel ──▶ index
//!                                   ▲      │
//!                                   └Nudge─┘ a change seen at one peer makes
//!                                            the others ask at once
//! ```
//!
//! A round reads `/readyz`, and if that is ok the two discovery documents, and when they are due
//! `/version` and the index of OpenAPI v3. The types of a peer that is not ready are not read: a
//! server that starts lists only a part of them, and its list would take the rest away. Between two
//! rounds, some of the documents with storage versions are read, until all were.

mod judge;
pub mod metrics;
mod nudge;
mod open_api;
mod storage;
mod task;
mod watchers;

pub use watchers::Watchers;
