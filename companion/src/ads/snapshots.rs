//! Collects the parts of the snapshot. Each control plane publishes its own part, and the listener
//! task publishes the listeners. An Envoy follows all of it, or what there is of some control planes.

mod selections;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::envoys::Envoys;
use super::resource::{Listener, Resource};
use super::selection::Selection;
use super::snapshot::{Early, Listeners, Part, Snapshot};
use selections::Selections;

/// The latest snapshot. Clones share it.
#[derive(Clone, Debug)]
pub struct Snapshots {
    latest: Arc<watch::Sender<Arc<Snapshot>>>,
    selections: Arc<Selections>,
    envoys: Envoys,
}

impl Snapshots {
    /// Returns an empty snapshot. `envoys` records the versions of each next one.
    pub fn new(envoys: Envoys) -> Self {
        let latest = Arc::new(watch::Sender::new(Arc::default()));
        Self { latest, selections: Arc::default(), envoys }
    }

    /// Returns the Envoys that are served.
    pub fn envoys(&self) -> &Envoys {
        &self.envoys
    }

    /// Follows the snapshot.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.latest.subscribe()
    }

    /// Follows what an Envoy gets that gets these control planes.
    pub fn of(&self, selection: &Selection) -> watch::Receiver<Arc<Snapshot>> {
        match selection {
            Selection::All => self.subscribe(),
            Selection::Some(names) => self.selections.subscribe(names, &self.latest),
        }
    }

    /// Returns how many different snapshots are kept for Envoys that do not get all control planes.
    #[cfg(test)]
    pub fn selections(&self) -> usize {
        self.selections.len()
    }

    /// Says that a control plane exists, which has no map yet. What an Envoy has of it from earlier
    /// stays until it has one. Call it for all of them before the first Envoy is served.
    pub fn await_part(&self, prefix: &str) {
        self.change(Some(prefix), |latest| {
            let is_known = latest.parts.contains_key(prefix) || latest.awaited.contains(prefix);
            if !is_known {
                Arc::make_mut(latest).awaited.insert(prefix.to_owned());
            }
            !is_known
        });
    }

    /// Replaces the part of a control plane. Does nothing if an Envoy would get the same.
    pub fn publish(&self, prefix: &str, part: Part) {
        self.change(Some(prefix), |latest| {
            if latest.parts.get(prefix).is_some_and(|last| last.is_same(&part)) {
                return false;
            }
            let snapshot = Arc::make_mut(latest);
            snapshot.awaited.remove(prefix);
            snapshot.parts.insert(prefix.to_owned(), Arc::new(part));
            true
        });
    }

    /// Removes a control plane that no longer exists. Envoys lose everything of it.
    pub fn remove(&self, prefix: &str) {
        self.change(Some(prefix), |latest| {
            let is_known = latest.parts.contains_key(prefix) || latest.awaited.contains(prefix);
            if is_known {
                let snapshot = Arc::make_mut(latest);
                snapshot.awaited.remove(prefix);
                snapshot.parts.remove(prefix);
            }
            is_known
        });
    }

    /// Replaces the listeners. Until it is called, the listeners that an Envoy has stay. So do those of
    /// an Envoy that gets a control plane in `without`, which may get a filter chain yet, until this is
    /// called without it.
    pub fn listen(&self, listeners: impl IntoIterator<Item = Listener>, without: BTreeSet<String>) {
        let mut next = Listeners::default();
        for listener in listeners {
            for (prefix, chain) in &listener.chains {
                let connections = Resource::of_connections(chain).map(Arc::new);
                next.connections.extend(connections.map(|one| (prefix.clone(), one)));
            }
            let resource = Resource::of_listener(listener);
            next.all.insert(resource.name.clone(), Arc::new(resource));
        }
        self.change(None, |latest| {
            let early = latest.early.as_ref();
            let last = latest.listeners.as_ref().or(early.map(|early| &early.listeners));
            let next = shared(next, last);
            let (listeners, early) = if without.is_empty() {
                (Some(next), None)
            } else {
                (None, Some(Early { listeners: next, without: Arc::new(without) }))
            };
            if (&latest.listeners, &latest.early) == (&listeners, &early) {
                return false;
            }
            let snapshot = Arc::make_mut(latest);
            (snapshot.listeners, snapshot.early) = (listeners, early);
            true
        });
    }

    /// Returns whether there will be listeners soon, for Envoys that get none yet.
    pub fn is_early(&self) -> bool {
        self.latest.borrow().early.is_some()
    }

    /// Replaces everything, by what was received from a companion.
    pub fn replace(&self, mut next: Snapshot) {
        self.change(None, |latest| {
            for (prefix, part) in &mut next.parts {
                match latest.parts.get(prefix) {
                    Some(last) if last.is_same(part) => *part = Arc::clone(last),
                    _ => {}
                }
            }
            *latest = Arc::new(next);
            true
        });
    }

    /// Shows the snapshot after `change`, which returns whether it changed the snapshot. It may change
    /// the part of `name`, or anything if that is `None`. Readers keep the snapshot that they have:
    /// `change` copies it first.
    fn change(&self, name: Option<&str>, change: impl FnOnce(&mut Arc<Snapshot>) -> bool) {
        let changed = self.latest.send_if_modified(|latest| {
            let changed = change(latest);
            if changed {
                self.envoys.expect(latest);
            }
            changed
        });
        if changed {
            self.selections.refresh(&self.latest, name);
        }
    }
}

/// Returns listeners that share with the last ones what is equal: it is compared by pointer.
fn shared(mut next: Listeners, last: Option<&Arc<Listeners>>) -> Arc<Listeners> {
    let Some(last) = last else { return Arc::new(next) };
    if **last == next {
        return Arc::clone(last);
    }
    for (prefix, same) in &last.connections {
        match next.connections.get_mut(prefix) {
            Some(one) if one == same => *one = Arc::clone(same),
            _ => {}
        }
    }
    Arc::new(next)
}
