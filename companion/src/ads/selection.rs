//! Which control planes an Envoy gets: those that its metadata asks for, of those that its
//! certificate may have.
//!
//! ```text
//!  configuration ─granted─┐
//!                         ├─▶ Selection ─┐
//!  Node.metadata ───asked─┘              ├─▶ Selected: a snapshot with these alone ─▶ Session
//!                          Snapshot ─────┘
//! ```
//!
//! Invariants:
//! - Nothing of another control plane is in it: no part, no filter chain, no connection manager, and
//!   not even its name. One that an Envoy may not have, and one that does not exist, are the same.
//! - What did not change is shared with the snapshot of before, by pointer, so that a session sends
//!   nothing of it, and a change elsewhere wakes nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resource::{Listener, Resource};
use super::snapshot::{Listeners, Snapshot};
use crate::config::ClusterPrefix;

#[cfg(test)]
mod tests;

/// The names of control planes.
pub type Names = Arc<BTreeSet<ClusterPrefix>>;

/// The control planes that an Envoy gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All that there are, now and later.
    #[default]
    All,
    /// These, as far as they exist.
    Some(Names),
}

impl Selection {
    /// Returns what has no control plane.
    pub fn none() -> Self {
        Self::Some(Arc::default())
    }

    /// Returns whether a control plane is in it.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(name),
        }
    }

    /// Returns whether it has everything that the other one has.
    pub fn has_all(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Some(_), Self::All) => false,
            (Self::Some(one), Self::Some(other)) => other.is_subset(one),
        }
    }

    /// Returns what is in both.
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, any) | (any, Self::All) => any.clone(),
            (Self::Some(one), Self::Some(other)) => {
                Self::Some(Arc::new(one.intersection(other).cloned().collect()))
            }
        }
    }

    /// Returns what is in either.
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Some(one), Self::Some(other)) => {
                Self::Some(Arc::new(one.union(other).cloned().collect()))
            }
        }
    }

    /// Returns the names that it lists. It lists none if it has all.
    pub fn names(&self) -> impl Iterator<Item = &ClusterPrefix> {
        match self {
            Self::All => None,
            Self::Some(names) => Some(names),
        }
        .into_iter()
        .flat_map(|names| names.iter())
    }
}

/// A snapshot with some of the control planes.
#[derive(Clone, Debug)]
pub struct Selected {
    names: Names,
    pub snapshot: Arc<Snapshot>,
    /// The listeners that its own were made from.
    made_from: Option<Arc<Listeners>>,
}

impl Selected {
    /// Returns nothing yet of these control planes.
    pub fn new(names: Names) -> Self {
        Self { names, snapshot: Arc::default(), made_from: None }
    }

    /// Returns what there is of these control planes in the latest snapshot. It shares with this one
    /// what is the same.
    pub fn next(&self, latest: &Snapshot) -> Self {
        let (names, last) = (&self.names, &*self.snapshot);
        let part = |name: &ClusterPrefix| latest.parts.get_key_value(name.as_str());
        let parts = names.iter().filter_map(part);
        let awaited = names.iter().filter_map(|name| latest.awaited.get(name.as_str()));
        let known = latest.listeners_of(names);
        let listeners = match known {
            Some(all) if self.made_from.as_ref().is_some_and(|last| Arc::ptr_eq(last, all)) => {
                last.listeners.clone()
            }
            Some(all) => Some(listeners(names, all, last.listeners.as_ref())),
            None => None,
        };
        let next = Snapshot {
            parts: parts.map(|(name, part)| (name.clone(), Arc::clone(part))).collect(),
            awaited: awaited.cloned().collect(),
            listeners,
            early: None,
        };
        let snapshot =
            if is_same(last, &next) { Arc::clone(&self.snapshot) } else { Arc::new(next) };
        Self { names: Arc::clone(names), snapshot, made_from: known.cloned() }
    }
}

/// Returns whether two snapshots share everything.
fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    let same_listeners = match (&one.listeners, &other.listeners) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let mut parts = one.parts.iter().zip(&other.parts);
    same_listeners
        && one.awaited == other.awaited
        && one.parts.len() == other.parts.len()
        && parts.all(|((one, part), (other, same))| one == other && Arc::ptr_eq(part, same))
}

/// Returns the listeners with the filter chains of these control planes, and what the chains ask for.
fn listeners(names: &Names, all: &Listeners, last: Option<&Arc<Listeners>>) -> Arc<Listeners> {
    let earlier = |name: &str| last.and_then(|last| last.all.get(name));
    let some = all.all.iter();
    let some =
        some.filter_map(|(name, one)| Some((name.clone(), of_some(names, one, earlier(name))?)));
    let next = Listeners { all: some.collect(), connections: of_names(names, &all.connections) };
    match last {
        Some(last) if **last == next => Arc::clone(last),
        _ => Arc::new(next),
    }
}

/// Returns what there is of these control planes. There can be many more of others.
fn of_names<T: Clone>(names: &Names, all: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let some = names.iter().filter_map(|name| all.get_key_value(name.as_str()));
    some.map(|(name, one)| (name.clone(), one.clone())).collect()
}

/// Returns a listener with the chains of these control planes. `None` if it has none of them: Envoy
/// refuses a listener without chains.
fn of_some(
    names: &Names,
    one: &Arc<Resource>,
    last: Option<&Arc<Resource>>,
) -> Option<Arc<Resource>> {
    let whole = one.listener.as_ref()?;
    let chains = of_names(names, &whole.chains);
    if chains.is_empty() {
        return None;
    }
    if chains.len() == whole.chains.len() {
        return Some(Arc::clone(one));
    }
    let next = Listener { name: whole.name.clone(), base: whole.base.clone(), chains };
    let same = last.filter(|last| last.listener.as_ref() == Some(&next));
    Some(same.map_or_else(|| Arc::new(Resource::of_listener(next)), Arc::clone))
}
