//! The snapshots of Envoys that do not get every control plane. Those that get the same share one,
//! and it is kept only while there is such an Envoy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ads::selection::{Names, Selected};
use crate::ads::snapshot::Snapshot;

type Latest = watch::Sender<Arc<Snapshot>>;

/// What is kept, by the names of the control planes.
#[derive(Debug, Default)]
pub struct Selections(Mutex<BTreeMap<Names, Kept>>);

#[derive(Debug)]
struct Kept {
    selected: Selected,
    sender: Latest,
}

impl Selections {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Names, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what there is of these control planes.
    pub fn subscribe(&self, names: &Names, latest: &Latest) -> watch::Receiver<Arc<Snapshot>> {
        let mut all = self.kept();
        all.retain(|_, kept| kept.is_followed());
        let kept = all.entry(Arc::clone(names)).or_insert_with(|| {
            let selected = Selected::new(Arc::clone(names)).next(&latest.borrow());
            let sender = Latest::new(Arc::clone(&selected.snapshot));
            Kept { selected, sender }
        });
        kept.sender.subscribe()
    }

    /// Takes over the latest snapshot. `changed` is the control plane whose part changed: Envoys that do
    /// not get it are not woken. `None` means that anything may have changed.
    pub fn refresh(&self, latest: &Latest, changed: Option<&str>) {
        let mut all = self.kept();
        all.retain(|_, kept| kept.is_followed());
        // Read here, under the lock: of two changes at once, the later one is in both.
        let latest = Arc::clone(&latest.borrow());
        for (names, kept) in all.iter_mut() {
            if changed.is_none_or(|name| names.contains(name)) {
                kept.refresh(&latest);
            }
        }
    }

    /// Returns how many are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.kept().len()
    }
}

impl Kept {
    fn is_followed(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn refresh(&mut self, latest: &Snapshot) {
        self.selected = self.selected.next(latest);
        self.sender.send_if_modified(|shown| {
            let changed = !Arc::ptr_eq(shown, &self.selected.snapshot);
            shown.clone_from(&self.selected.snapshot);
            changed
        });
    }
}
