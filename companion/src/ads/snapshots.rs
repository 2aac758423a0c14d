//! Where the parts of the snapshot come together: each control plane publishes its own, and somebody
//! the listeners.

use std::sync::Arc;

use tokio::sync::watch;

use super::envoys::Envoys;
use super::resource::{Listener, Resource};
use super::snapshot::{Listeners, Part, Snapshot};

/// The latest snapshot. Clones share it.
#[derive(Clone, Debug)]
pub struct Snapshots {
    latest: Arc<watch::Sender<Arc<Snapshot>>>,
    envoys: Envoys,
}

impl Snapshots {
    /// Returns a snapshot with nothing in it, which is shown to nobody but these Envoys.
    pub fn new(envoys: Envoys) -> Self {
        Self { latest: Arc::new(watch::Sender::new(Arc::default())), envoys }
    }

    /// Returns the Envoys that are served.
    pub fn envoys(&self) -> &Envoys {
        &self.envoys
    }

    /// Follows the snapshot.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.latest.subscribe()
    }

    /// Says that a control plane exists, which has no map yet. What an Envoy has of it from earlier
    /// stays until it has one. Call it for all of them before the first Envoy is served.
    pub fn await_part(&self, prefix: &str) {
        self.change(|snapshot| {
            !snapshot.parts.contains_key(prefix) && snapshot.awaited.insert(prefix.to_owned())
        });
    }

    /// Replaces the part of a control plane. Does nothing if an Envoy would get the same.
    pub fn publish(&self, prefix: &str, part: Part) {
        self.change(|snapshot| {
            if snapshot.parts.get(prefix).is_some_and(|last| last.is_same(&part)) {
                return false;
            }
            snapshot.awaited.remove(prefix);
            snapshot.parts.insert(prefix.to_owned(), Arc::new(part));
            true
        });
    }

    /// Removes a control plane that does not exist any more. Envoys lose everything of it.
    pub fn remove(&self, prefix: &str) {
        self.change(|snapshot| {
            let awaited = snapshot.awaited.remove(prefix);
            snapshot.parts.remove(prefix).is_some() || awaited
        });
    }

    /// Replaces the listeners. Until it is called, the listeners that an Envoy has stay.
    pub fn listen(&self, listeners: impl IntoIterator<Item = Listener>) {
        let mut next = Listeners::default();
        for listener in listeners {
            for (prefix, chain) in &listener.chains {
                let connections = Resource::of_connections(chain).map(Arc::new);
                next.connections.extend(connections.map(|one| (prefix.clone(), one)));
            }
            let resource = Resource::of_listener(listener);
            next.all.insert(resource.name.clone(), Arc::new(resource));
        }
        self.change(|snapshot| {
            let last = snapshot.listeners.take();
            let differs = last.as_ref() != Some(&next);
            // Who compares them sees at once that they are the same.
            for (prefix, same) in last.into_iter().flat_map(|last| last.connections) {
                match next.connections.get_mut(&prefix) {
                    Some(one) if *one == same => *one = same,
                    _ => {}
                }
            }
            snapshot.listeners = Some(next);
            differs
        });
    }

    /// Replaces everything, by what was received from a companion.
    pub fn replace(&self, mut next: Snapshot) {
        self.change(|snapshot| {
            for (prefix, part) in &mut next.parts {
                match snapshot.parts.get(prefix) {
                    Some(last) if last.is_same(part) => *part = Arc::clone(last),
                    _ => {}
                }
            }
            *snapshot = next;
            true
        });
    }

    /// Changes the snapshot and shows it, unless `change` returns false.
    fn change(&self, change: impl FnOnce(&mut Snapshot) -> bool) {
        self.latest.send_if_modified(|latest| {
            let mut next = (**latest).clone();
            let changed = change(&mut next);
            if changed {
                self.envoys.expect(&next);
                *latest = Arc::new(next);
            }
            changed
        });
    }
}
