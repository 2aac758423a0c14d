//! The progress of each control plane: whether its tasks run, and whether the listener waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::ClusterPrefix;

/// Of each that has tasks, whether it has a map, or had the time to get one. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<watch::Sender<BTreeMap<ClusterPrefix, bool>>>);

impl Progress {
    /// Returns what is known, now and later.
    pub(super) fn subscribe(&self) -> watch::Receiver<BTreeMap<ClusterPrefix, bool>> {
        self.0.subscribe()
    }

    pub(super) fn begun(&self, name: &ClusterPrefix) {
        self.0.send_if_modified(|all| all.insert(name.clone(), false) != Some(false));
    }

    pub(super) fn settled(&self, name: &ClusterPrefix) {
        self.0.send_if_modified(|all| all.insert(name.clone(), true) != Some(true));
    }

    pub(super) fn ended(&self, name: &ClusterPrefix) {
        self.0.send_if_modified(|all| all.remove(name).is_some());
    }
}
