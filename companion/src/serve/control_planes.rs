//! What is shown of the control planes, one or many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_discovery::MinorVersion;
use discovery_map::PeerState;
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::since_1970;
use crate::facts::PeerStatus;
use crate::history::{History, Record};
use crate::metrics::Registry;
use crate::publish::Outcome;
use crate::sources::SourceStatus;

/// What a control plane shows while its tasks run.
#[derive(Clone, Debug)]
pub struct ControlPlaneView {
    pub outcomes: watch::Receiver<Outcome>,
    pub peers: watch::Receiver<Vec<PeerStatus>>,
    pub source: watch::Receiver<Option<SourceStatus>>,
    /// The answering version; `None` if all versions answer.
    pub answering: watch::Receiver<Option<MinorVersion>>,
    /// The last changes.
    pub history: watch::Receiver<Record>,
    pub registry: Arc<Registry>,
}

impl ControlPlaneView {
    /// Waits until it has a map. Forever, if its tasks end before.
    pub async fn published(&self) {
        let mut outcomes = self.outcomes.clone();
        if outcomes.wait_for(|outcome| outcome.publication.is_some()).await.is_err() {
            std::future::pending().await
        }
    }
}

/// The state of a control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ControlPlaneState {
    /// Its tasks run, or are about to. It has no map yet.
    #[default]
    Starting,
    /// It has a map.
    Serving,
    /// Its tasks ended. They are started again.
    Stopped,
    /// There was never a valid configuration of it.
    Refused,
}

/// What the rest of the companion reported about a control plane.
#[derive(Clone, Debug, Default)]
struct Entry {
    server_names: Vec<String>,
    state: ControlPlaneState,
    /// Since 1970.
    since_seconds: u64,
    /// What is wrong with its file.
    faults: Vec<String>,
    /// Why its tasks ended last.
    error: Option<String>,
    view: Option<ControlPlaneView>,
    /// The last changes, which outlive its tasks.
    history: Option<History>,
}

/// All control planes, by their names. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ControlPlanes(Arc<Mutex<BTreeMap<String, Entry>>>);

/// What `/v1/control-planes` shows of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub name: String,
    pub server_names: Vec<String>,
    pub state: ControlPlaneState,
    pub since_unix_seconds: u64,
    pub peers: usize,
    pub peers_in_rotation: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_generation: Option<u64>,
    /// What is wrong with its file; the last good one is in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl ControlPlanes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a state, and the reason if the tasks ended.
    pub fn is(&self, name: &str, state: ControlPlaneState, error: Option<String>) {
        let mut all = self.all();
        let entry = all.entry(name.to_owned()).or_default();
        entry.set(state);
        entry.error = error.or(entry.error.take());
    }

    /// Takes note of the tasks of a control plane.
    pub fn runs(&self, name: &str, server_names: Vec<String>, view: ControlPlaneView) {
        let mut all = self.all();
        let entry = all.entry(name.to_owned()).or_default();
        entry.server_names = server_names;
        entry.view = Some(view);
    }

    /// Returns the last changes of one. They are kept until it is forgotten.
    pub fn history(&self, name: &str) -> History {
        let mut all = self.all();
        let entry = all.entry(name.to_owned()).or_default();
        entry.history.get_or_insert_with(|| History::new(since_1970())).clone()
    }

    /// Takes note of what is wrong with a file; nothing if it is used. `runs`: there is a
    /// configuration in use.
    pub fn refused(&self, name: &str, faults: Vec<String>, runs: bool) {
        let state = if runs { ControlPlaneState::Starting } else { ControlPlaneState::Refused };
        let mut all = self.all();
        let entry = all.entry(name.to_owned()).or_default();
        entry.faults = faults;
        // What runs tells its state itself.
        if entry.since_seconds == 0 || (runs && entry.state == ControlPlaneState::Refused) {
            entry.set(state);
        }
    }

    /// Forgets the control planes that are not wanted.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.all().retain(|name, _| wanted(name));
    }

    /// Returns what one shows, if it runs.
    pub fn view(&self, name: &str) -> Option<ControlPlaneView> {
        self.all().get(name).and_then(|entry| entry.view.clone())
    }

    /// Returns the registries of all.
    pub fn registries(&self) -> Vec<Arc<Registry>> {
        let all = self.all();
        all.values().filter_map(|entry| Some(Arc::clone(&entry.view.as_ref()?.registry))).collect()
    }

    /// Returns how many are in each state, and how many have a faulty file.
    pub fn count(&self) -> (BTreeMap<ControlPlaneState, usize>, usize) {
        let all = self.all();
        let mut states = BTreeMap::new();
        for entry in all.values() {
            *states.entry(entry.state).or_default() += 1;
        }
        (states, all.values().filter(|entry| !entry.faults.is_empty()).count())
    }

    /// Returns what is shown of all.
    pub fn shown(&self) -> Vec<Shown> {
        self.all().iter().map(|(name, entry)| entry.shown(name)).collect()
    }
}

impl Entry {
    fn set(&mut self, state: ControlPlaneState) {
        if self.state != state || self.since_seconds == 0 {
            self.state = state;
            self.since_seconds = since_1970().as_secs();
        }
    }

    fn shown(&self, name: &str) -> Shown {
        let outcome = self.view.as_ref().map(|view| view.outcomes.borrow().clone());
        let outcome = outcome.unwrap_or_default();
        let peers = self.view.as_ref().map(|view| view.peers.borrow().clone()).unwrap_or_default();
        let serves = |peer: &&PeerStatus| peer.state == PeerState::Serving && !peer.left;
        Shown {
            name: name.to_owned(),
            server_names: self.server_names.clone(),
            state: self.state,
            since_unix_seconds: self.since_seconds,
            peers: peers.len(),
            peers_in_rotation: peers.iter().filter(serves).count(),
            map_generation: outcome.publication.map(|publication| publication.map.generation),
            faults: self.faults.clone(),
            last_error: outcome.error.or_else(|| self.error.clone()),
        }
    }
}
