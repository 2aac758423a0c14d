//! Which components the log has named because no server was new enough for them.
//!
//! A component sends many requests, and its version is a claim: each component and version is named
//! once in the life of a VM, and no more than [`MOST`] of them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use routing::{ComponentVersion, Skew, SkewOutcome};

/// A control plane has four kinds of components, of a few versions.
pub const MOST: usize = 32;

/// What the log has named.
#[derive(Debug, Default)]
pub(crate) struct SkewLog(RefCell<BTreeSet<ComponentVersion>>);

impl SkewLog {
    /// Returns the line for a request, if there is to be one.
    pub(crate) fn line(&self, skew: Skew) -> Option<String> {
        let Skew { component, outcome } = skew;
        let why = match outcome {
            SkewOutcome::Kept => return None,
            SkewOutcome::NoneServes => "serves what it asks for",
            SkewOutcome::NoneInRotation => "is in rotation",
        };
        let mut named = self.0.borrow_mut();
        if named.len() >= MOST || !named.insert(component) {
            return None;
        }
        let more = if named.len() == MOST { "; further components are not logged" } else { "" };
        Some(format!(
            "{component}: no API server that is at least as new {why}, so older ones answer \
             (version skew policy){more}"
        ))
    }
}
