//! Selects the listeners that an Envoy gets after it refused some.
//!
//! Envoy refuses a listener as a whole, because of one chain: it does not have the certificates of
//! that control plane, for example. So what is new in a refused listener is sent in halves, until
//! the chain is found. It is left out until it changes, or until it is tried again; if the Envoy has
//! an earlier form of it, that one stays.
//!
//! The fault can also be in what all chains share: an address that is in use, for example. So no
//! chain is blamed before the Envoy has accepted the listener with other chains:
//!
//! | the Envoy has | what is sent after a refusal | if that is refused too |
//! |---|---|---|
//! | the same listener, other chains | the new chains in halves | the chain is left out |
//! | another form of the listener | it without new chains | that form stays |
//! | a listener from an earlier stream | it without new chains | nothing is sent |
//! | nothing | halves, then some single chains | nothing is sent |
//!
//! What it has from an earlier stream is not known in detail, so that nothing could take its place.
//! While nothing is sent, a listener goes if none of its chains is wanted any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::names::SHARED;
use super::state::Held;
use crate::ads::resource::{Listener, Resource};
use crate::ads::snapshot::Resources;

/// How many chains an Envoy without a listener must refuse, each alone, until the listener is
/// blamed. The next time, others are tried.
const MOST_SUSPECTS: usize = 8;

/// What an Envoy has of a listener that it refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Has {
    #[default]
    Nothing,
    /// One from an earlier stream.
    Unknown,
    /// One that differs in more than its chains.
    Other,
    /// One that differs in its chains only.
    Same,
}

/// A listener that was refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub has: Has,
    /// Its name and the version of what its chains share. `None` if only a removal was refused.
    pub base: Option<(String, String)>,
    /// The chains that the Envoy does not have, with their versions.
    pub new: Vec<(String, String)>,
    /// How many chains it shall have.
    pub wanted: usize,
}

#[derive(Debug, Default)]
pub(super) struct Admission {
    /// The chains that the Envoy refuses, with their versions, by the prefix of the control plane.
    left_out: BTreeMap<String, String>,
    /// The listeners that the Envoy refuses whatever their chains, with the version of the rest.
    bases: BTreeMap<String, String>,
    /// The chains that the Envoy refuses, though the fault may be the listener's. With the versions
    /// of both.
    suspects: BTreeMap<String, (String, String)>,
    /// The chains to send once the Envoy has accepted or refused the others.
    deferred: BTreeSet<String>,
    /// Those that were suspects, now or earlier.
    tried: BTreeSet<String>,
    /// Whether nothing is sent.
    held: bool,
    /// The listeners without these. `None` if they must be made anew.
    made: Option<Resources>,
}

impl Admission {
    /// Returns whether the Envoy gets everything.
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty()
            && self.bases.is_empty()
            && self.suspects.is_empty()
            && self.deferred.is_empty()
            && !self.held
    }

    /// Returns whether the Envoy gets no listener, and keeps what it has of those that it shall have.
    pub fn is_held(&self) -> bool {
        let nothing = || self.made.as_ref().is_some_and(Resources::is_empty);
        self.held || !self.suspects.is_empty() && nothing()
    }

    /// Returns whether the Envoy keeps the form that it has of what the chains of a listener share.
    pub fn keeps(&self, listener: &str) -> bool {
        self.bases.contains_key(listener)
    }

    /// Sends everything that was left out.
    pub fn retry(&mut self) {
        *self = Self { tried: std::mem::take(&mut self.tried), ..Self::default() };
    }

    /// Takes other listeners. What changed is not left out any more.
    pub fn aim(&mut self, listeners: &Resources) {
        self.made = None;
        self.held = false;
        let all = || listeners.values().filter_map(|one| one.listener.as_ref());
        let of_base: BTreeMap<_, _> = all().map(|one| (&one.name, &one.base.version)).collect();
        let of_chain: BTreeMap<_, _> = all()
            .flat_map(|one| one.chains.iter().map(|chain| (chain, &one.base.version)))
            .map(|((prefix, chain), base)| (prefix, (&chain.chain.version, base)))
            .collect();
        self.bases.retain(|name, refused| of_base.get(name) == Some(&&*refused));
        self.left_out
            .retain(|prefix, refused| of_chain.get(prefix).is_some_and(|(one, _)| *one == refused));
        self.suspects.retain(|prefix, (chain, base)| of_chain.get(prefix) == Some(&(chain, base)));
        self.deferred.retain(|prefix| of_chain.contains_key(prefix));
        self.tried.retain(|prefix| of_chain.contains_key(prefix));
    }

    /// Takes note that a listener was refused. Returns the control plane that is to blame, or
    /// [`SHARED`] if the listener is. `None` if that is not known yet.
    pub fn refused(&mut self, refused: Refused) -> Option<String> {
        let Refused { has, base, new, wanted } = refused;
        self.made = None;
        match (has, new.as_slice(), base) {
            (Has::Same, [(prefix, version)], _) => {
                self.left_out.insert(prefix.clone(), version.clone());
                return Some(prefix.clone());
            }
            (Has::Other, [], Some((name, version))) => {
                self.bases.insert(name, version);
                return Some(SHARED.to_owned());
            }
            (Has::Nothing, [(prefix, version)], Some((_, base))) => {
                self.tried.insert(prefix.clone());
                self.suspects.insert(prefix.clone(), (version.clone(), base));
                self.held = self.suspects.len() >= MOST_SUSPECTS.min(wanted);
            }
            (_, [], _) => self.held = true,
            (Has::Unknown | Has::Other, _, _) => self.defer(new, 0),
            (Has::Nothing, _, _) if !self.suspects.is_empty() => self.defer(new, 1),
            (Has::Nothing | Has::Same, _, _) => {
                let half = new.len() / 2;
                self.defer(new, half);
            }
        }
        self.held.then(|| SHARED.to_owned())
    }

    /// Defers all but some of these chains; those that were suspects are the first to be deferred.
    fn defer(&mut self, new: Vec<(String, String)>, but: usize) {
        let mut prefixes: Vec<_> = new.into_iter().map(|(prefix, _)| prefix).collect();
        if prefixes.iter().all(|prefix| self.tried.contains(prefix)) {
            self.tried.clear();
        }
        prefixes.sort_by_key(|prefix| self.tried.contains(prefix));
        self.deferred.extend(prefixes.into_iter().skip(but));
    }

    /// Takes note that the Envoy has everything that is not left out. Returns whether there is more.
    pub fn go_on(&mut self) -> bool {
        let is_accepted = self.made.as_ref().is_some_and(|made| !made.is_empty());
        let more = !self.deferred.is_empty() || is_accepted && !self.suspects.is_empty();
        if more {
            self.deferred.clear();
            self.made = None;
        }
        if is_accepted {
            self.suspects.clear();
        }
        more
    }

    /// Returns the listeners without what is left out. `None` if nothing is, or before they are made.
    pub fn made(&self) -> Option<&Resources> {
        self.made.as_ref().filter(|_| !self.is_complete())
    }

    /// Makes the listeners without what is left out, for an Envoy that has these.
    pub fn make(&mut self, wanted: &Resources, has: &BTreeMap<String, Held>) -> &Resources {
        let Self { left_out, bases, suspects, deferred, made, .. } = self;
        made.get_or_insert_with(|| {
            let is_out = |prefix: &String| {
                left_out.contains_key(prefix)
                    || suspects.contains_key(prefix)
                    || deferred.contains(prefix)
            };
            let admitted = |(name, resource): (&String, &Arc<Resource>)| {
                let listener = resource.listener.as_ref()?;
                let earlier =
                    has.get(name).and_then(|held| held.resource.as_ref()?.listener.as_ref());
                let chain = |(prefix, chain): (&String, _)| {
                    let chain = if is_out(prefix) { earlier?.chains.get(prefix)? } else { chain };
                    Some((prefix.clone(), chain.clone()))
                };
                let chains = listener.chains.iter().filter_map(chain).collect();
                let earlier = earlier.filter(|_| bases.contains_key(name));
                let base = earlier.unwrap_or(listener).base.clone();
                let next = Listener { name: name.clone(), base, chains };
                // Envoy refuses a listener without chains.
                let some = !next.chains.is_empty();
                some.then(|| (name.clone(), Arc::new(Resource::of_listener(next))))
            };
            wanted.iter().filter_map(admitted).collect()
        })
    }
}
