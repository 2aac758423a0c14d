//! Kubernetes Events in the control plane itself, about what an operator of it should notice: a
//! version switch, a peer that leaves, an orphaned type, a refused map.
//!
//! ```text
//!  history ──Entry──▶ notice ──Notice──▶ Stories ──Write──▶ Writer ──POST, PATCH──▶ a serving peer
//!                     (which, how)       (series, when)      (how)
//! ```
//!
//! An Event is a courtesy, and nothing waits for it: the task only reads the history, which is
//! bounded, and nobody reads what the task does. What an API server refuses is counted, named once
//! in the log, and given up.
//!
//! Several companions may notice the same change. The name of an Event is made of what it says and
//! of the ten minutes in which it happened, so that the second companion's Event is the first one's,
//! and an attempt whose answer was lost can be repeated.

mod body;
mod error;
pub mod metrics;
mod notice;
mod stories;
mod task;
mod writer;

pub use task::Task;
