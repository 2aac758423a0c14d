//! The last changes of a control plane: what an operator asks for when something looks odd.
//!
//! ```text
//!  peers, answering version, published map ──▶ Facts ──difference──▶ Change ─▶ History ─▶ serve
//!  Envoys' refusals ──▶ Refusals (grouped) ────────────────────────────┘         └───▶ kubernetes_events
//! ```
//!
//! A change is the difference of two facts that followed each other, and of nothing else: whatever
//! changes the facts is recorded, and nobody has to remember to report it. Many changes of the same
//! kind at once are one [`Change`], so that an upgrade is a few lines, and not thousands.
//!
//! Bounded: a history keeps [`KEPT`] changes, and a change names [`MOST_NAMES`] types or Envoys. It
//! is in memory only, and begins when the companion starts.

mod change;
mod facts;
mod record;
mod refusals;
mod task;
#[cfg(test)]
mod tests;
mod types;

pub use change::{Availability, Change, state};
pub use record::{Entry, History, Record};
pub use task::Recorder;
pub use types::availability;

/// How many changes a history keeps.
pub const KEPT: usize = 100;

/// How many types, peers or Envoys a change names.
const MOST_NAMES: usize = 20;

/// How much of a text is kept that an API server or an Envoy wrote, in characters.
const MOST_TEXT: usize = 500;

/// Returns the beginning of a text that another program wrote.
fn shortened(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}
