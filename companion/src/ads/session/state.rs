//! What one Envoy has of one type, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::exchange::{MOST_NAMES, Push, Request, TooManyNames};
use crate::ads::resource::Resource;
use crate::ads::snapshot::Resources;

/// What an Envoy has accepted, of one name.
#[derive(Clone, Debug)]
pub struct Held {
    pub version: String,
    /// `None` if it has it from an earlier stream.
    pub resource: Option<Arc<Resource>>,
}

#[derive(Debug, Default)]
pub struct State {
    /// Whether the Envoy has asked for anything of this type.
    asked: bool,
    names: BTreeSet<String>,
    has: BTreeMap<String, Held>,
    /// The names that it wants again although it has them.
    due: BTreeSet<String>,
    /// The names that it was told do not exist.
    absent: BTreeSet<String>,
    last_nonce: String,
    unanswered: Option<Push>,
    refused: Option<Push>,
}

/// How far the removals of a push may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removals {
    /// All resources are asked for, and not by name.
    pub wildcard: bool,
    /// Nothing that the Envoy has names what is gone.
    pub unused: bool,
    /// Names that never existed are told, too.
    pub absent: bool,
}

impl State {
    pub fn has(&self) -> &BTreeMap<String, Held> {
        &self.has
    }

    /// Returns the names that the Envoy asks for.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Returns the nonce of the last push. Empty if there was none.
    pub fn last_nonce(&self) -> &str {
        &self.last_nonce
    }

    /// Returns whether it has these, and nothing is on its way.
    pub fn holds(&self, wanted: &Resources) -> bool {
        let holds = |(name, resource): (&String, &Arc<Resource>)| {
            let held = self.has.get(name);
            held.is_some_and(|held| held.version == resource.version) && !self.due.contains(name)
        };
        self.unanswered.is_none() && wanted.iter().all(holds)
    }

    pub(super) fn subscribe(&mut self, request: &Request) -> Result<(), TooManyNames> {
        if self.asked {
            // Who asks again for what it has wants it again.
            let again = request.subscribe.iter().filter(|name| self.has.contains_key(*name));
            self.due.extend(again.cloned());
        } else {
            self.asked = true;
            let held = |(name, version): &(String, String)| {
                (name.clone(), Held { version: version.clone(), resource: None })
            };
            self.has.extend(request.versions.iter().take(MOST_NAMES).map(held));
        }
        for name in &request.unsubscribe {
            self.names.remove(name);
            self.absent.remove(name);
            self.has.remove(name);
            self.due.remove(name);
        }
        for name in &request.subscribe {
            self.absent.remove(name);
        }
        self.names.extend(request.subscribe.iter().cloned());
        if self.names.len() > MOST_NAMES { Err(TooManyNames) } else { Ok(()) }
    }

    /// Marks a name that it has to be sent once more.
    pub(super) fn repeat(&mut self, name: &str) {
        if self.has.contains_key(name) {
            self.due.insert(name.to_owned());
        }
    }

    /// Returns the push with this nonce, which is answered now. An answer to an earlier one says
    /// nothing.
    pub(super) fn take_answered(&mut self, nonce: &str) -> Option<Push> {
        self.unanswered.take_if(|push| push.nonce == nonce)
    }

    pub(super) fn acknowledge(&mut self, push: Push) {
        for name in push.removed {
            self.has.remove(&name);
            // Who did not ask for it by name is not told of it again.
            if self.names.contains(&name) {
                self.absent.insert(name);
            }
        }
        for resource in push.upserts {
            self.due.remove(&resource.name);
            let held = Held { version: resource.version.clone(), resource: Some(resource.clone()) };
            self.has.insert(resource.name.clone(), held);
        }
        self.refused = None;
    }

    /// Remembers what the Envoy does not want. It still has what it had.
    pub(super) fn refuse(&mut self, push: Push) {
        self.refused = Some(push);
    }

    /// Returns what is to be sent and to be removed. `None` if nothing is, or if the Envoy has not
    /// answered yet.
    pub(super) fn differences(
        &self,
        wanted: &Resources,
        removals: Removals,
    ) -> Option<(Vec<Arc<Resource>>, Vec<String>)> {
        if !self.asked || self.unanswered.is_some() {
            return None;
        }
        let differs = |(name, resource): &(&String, &Arc<Resource>)| {
            let held = self.has.get(*name);
            let same = held.is_some_and(|held| held.version == resource.version);
            let asked = removals.wildcard || self.names.contains(*name);
            asked && (!same || self.due.contains(*name))
        };
        let upserts: Vec<_> =
            wanted.iter().filter(differs).map(|(_, resource)| Arc::clone(resource)).collect();
        let gone = |name: &&String| !wanted.contains_key(*name);
        let removed: Vec<_> = if removals.wildcard {
            self.has.keys().filter(|_| removals.unused).filter(gone).cloned().collect()
        } else {
            let news = |name: &&String| removals.absent && !self.absent.contains(*name);
            // What it has goes with what names it.
            let never = |name: &&String| !self.has.contains_key(*name);
            self.names.iter().filter(gone).filter(news).filter(never).cloned().collect()
        };
        (!upserts.is_empty() || !removed.is_empty()).then_some((upserts, removed))
    }

    /// Remembers what is sent. Returns whether it may be: what was refused may not.
    pub(super) fn send(&mut self, push: &Push) -> bool {
        let same =
            |refused: &Push| (&refused.upserts, &refused.removed) == (&push.upserts, &push.removed);
        if self.refused.as_ref().is_some_and(same) {
            return false;
        }
        self.last_nonce.clone_from(&push.nonce);
        self.unanswered = Some(push.clone());
        true
    }

    /// Returns everything that the Envoy has once it accepts a push, for the form of the protocol
    /// that always sends everything.
    pub fn with(&self, push: &Push) -> Vec<Arc<Resource>> {
        let held = self.has.values().filter_map(|held| held.resource.clone());
        let all = held.chain(push.upserts.iter().cloned());
        let mut all: Resources = all.map(|resource| (resource.name.clone(), resource)).collect();
        for name in &push.removed {
            all.remove(name);
        }
        all.into_values().collect()
    }
}
