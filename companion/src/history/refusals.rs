//! Refusals of Envoys, grouped: a fleet that refuses a map is one change. Pure.

use std::collections::BTreeMap;

use super::change::Change;
use super::{MOST_NAMES, shortened};
use crate::ads::Refused;

/// How many refusals that differ are told apart at once.
const MOST_GROUPS: usize = 10;

/// Refusals by the type of the resources and the reason: how many Envoys, and the first of them.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    groups: BTreeMap<(&'static str, String), (usize, Vec<String>)>,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn add(&mut self, refused: &Refused) {
        let key = (refused.resources, shortened(&refused.reason));
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            return;
        }
        let (count, envoys) = self.groups.entry(key).or_default();
        *count += 1;
        if envoys.len() < MOST_NAMES {
            envoys.push(shortened(&refused.node));
        }
    }

    /// Returns the changes, and begins anew.
    pub(super) fn take(&mut self) -> Vec<Change> {
        let groups = std::mem::take(&mut self.groups);
        let change = |((resources, reason), (count, envoys))| Change::Refused {
            resources,
            reason,
            count,
            envoys,
        };
        groups.into_iter().map(change).collect()
    }
}
