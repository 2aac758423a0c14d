//! Which filter chains an Envoy gets, if it refuses some.
//!
//! Envoy refuses a listener as a whole, because of one chain: it does not have the certificates of
//! that control plane, for example. So what is new in a refused listener is sent in halves, until
//! the chain is found. It is left out until it changes, or until it is tried again; if the Envoy has
//! an earlier form of it, that one stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::Held;
use crate::ads::resource::{Listener, Resource};
use crate::ads::snapshot::Resources;

#[derive(Debug, Default)]
pub(super) struct Admission {
    /// The chains that the Envoy refuses, with their versions, by the prefix of the control plane.
    left_out: BTreeMap<String, String>,
    /// Those that are sent when it is known of the others whether they are refused.
    deferred: BTreeSet<String>,
    /// The listeners without these. `None` if they must be made anew.
    made: Option<Resources>,
}

impl Admission {
    /// Returns whether the Envoy gets all chains.
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty() && self.deferred.is_empty()
    }

    /// Sends everything that was left out.
    pub fn retry(&mut self) {
        *self = Self::default();
    }

    /// Takes other listeners. A chain that changed is not left out any more.
    pub fn aim(&mut self, listeners: &Resources) {
        self.made = None;
        let version = |prefix: &String| {
            let mut chains = chains(listeners.values()).filter(|(name, _)| *name == prefix);
            chains.next().map(|(_, version)| version)
        };
        self.left_out.retain(|prefix, refused| version(prefix) == Some(refused));
        self.deferred.retain(|prefix| version(prefix).is_some());
    }

    /// Takes note that these chains were new in listeners that were refused. Returns the one that is
    /// to blame, if it is known.
    pub fn refused(&mut self, new: &[(String, String)]) -> Option<String> {
        self.made = None;
        if let [(prefix, version)] = new {
            self.left_out.insert(prefix.clone(), version.clone());
            return Some(prefix.clone());
        }
        let later = new.get(new.len() / 2..).unwrap_or_default();
        self.deferred.extend(later.iter().map(|(prefix, _)| prefix.clone()));
        None
    }

    /// Takes note that the Envoy has everything that is not left out. Returns whether there is more.
    pub fn go_on(&mut self) -> bool {
        let more = !self.deferred.is_empty();
        if more {
            self.deferred.clear();
            self.made = None;
        }
        more
    }

    /// Returns the listeners without what is left out. `None` if nothing is, or before they are made.
    pub fn made(&self) -> Option<&Resources> {
        self.made.as_ref().filter(|_| !self.is_complete())
    }

    /// Makes the listeners without what is left out, for an Envoy that has these.
    pub fn make(&mut self, wanted: &Resources, has: &BTreeMap<String, Held>) -> &Resources {
        let Self { left_out, deferred, made } = self;
        made.get_or_insert_with(|| {
            let is_out =
                |prefix: &String| left_out.contains_key(prefix) || deferred.contains(prefix);
            let admitted = |(name, resource): (&String, &Arc<Resource>)| {
                let listener = resource.listener.as_ref()?;
                let earlier =
                    has.get(name).and_then(|held| held.resource.as_ref()?.listener.as_ref());
                let chain = |(prefix, chain): (&String, _)| {
                    let chain = if is_out(prefix) { earlier?.chains.get(prefix)? } else { chain };
                    Some((prefix.clone(), chain.clone()))
                };
                let chains = listener.chains.iter().filter_map(chain).collect();
                let next = Listener { chains, ..listener.clone() };
                // Envoy refuses a listener without chains.
                let some = !next.chains.is_empty();
                some.then(|| (name.clone(), Arc::new(Resource::of_listener(next))))
            };
            wanted.iter().filter_map(admitted).collect()
        })
    }
}

/// Returns the chains in listeners, with their versions.
pub(super) fn chains<'r>(
    listeners: impl Iterator<Item = &'r Arc<Resource>>,
) -> impl Iterator<Item = (&'r String, &'r String)> {
    let chains = listeners.filter_map(|one| one.listener.as_ref()).flat_map(|one| &one.chains);
    chains.map(|(prefix, chain)| (prefix, &chain.chain.version))
}
