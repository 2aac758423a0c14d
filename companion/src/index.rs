//! What is known of all peers, and what follows from it.
//!
//! Pure and synchronous: events in, [`Snapshot`] out. It does no I/O and has no
//! clock; the time is a duration since any fixed moment, and comes with each
//! event.
//!
//! ```text
//!  Report (peer) ─┐
//!  header names ──┼─▶ Index::apply ──▶ changed? ──▶ Index::snapshot
//!  Config ────────┤
//!  Memory (disk) ─┘
//! ```
//!
//! The rules, each of them a test in `index/tests.rs`:
//! - In rotation are the peers whose `/readyz` says ok, whether or not their
//!   discovery was ever read. If that is no peer, the last rotation stays: from
//!   here the death of all peers looks the same as a broken network of the
//!   companion's own, and Envoy can tell the first by itself.
//! - A peer out of rotation keeps its last known types until it is forgotten
//!   or removed from the configuration.
//! - Of a peer out of rotation only the types that are built into it count
//!   while any peer is in rotation: the others (custom resources, aggregated
//!   APIs) are in the store that all peers share, and whoever answers has them.
//! - The map is complete when every configured peer that is not forgotten has
//!   been read.

mod documents;
mod merge;
mod names;
mod peer;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use discovery_map::{MapDocument, PeerState};
use serde::{Deserialize, Serialize};

use crate::config::{Config, PeerName, RequestHeaders};
use crate::facts::{Observation, PeerStatus, Report, View};
use api_discovery::{Aggregated, Conflict, Packer};
use api_discovery::{Known, Origins};
use peer::Tracked;

pub use names::cluster_name;

/// Everything that is known, in the order in which it becomes known.
#[derive(Debug)]
pub struct Index {
    config: Arc<Config>,
    peers: Vec<Tracked>,
    /// The names in rotation the last time that there was any.
    last_rotation: BTreeSet<PeerName>,
    /// The names of the identity headers that a peer told, once one did.
    request_headers: Option<RequestHeaders>,
    /// Whether a peer was asked for them, or one told them before a restart.
    request_headers_asked: bool,
    /// What the cluster says of its group-versions.
    origins: Origins,
    /// Merged documents as they were made last. Behind a lock, for a snapshot
    /// takes nothing in.
    packer: Mutex<Packer>,
    now: Duration,
}

/// Something that the index is told.
#[derive(Debug)]
pub enum Event {
    /// The configuration is another.
    Configured(Arc<Config>),
    /// A round at a peer ended.
    Reported(Report),
    /// A peer was asked for the names of the identity headers. None: it did
    /// not tell them.
    RequestHeaders(Option<RequestHeaders>),
    /// Where group-versions come from, as the cluster says.
    Origins(Origins),
    /// Time has passed.
    Tick,
}

/// All that follows from what is known at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The map; its generation is 1 and is replaced at the push.
    pub document: MapDocument,
    /// Every cluster that the map names, sorted by name.
    pub clusters: Vec<Cluster>,
    /// Where the peers contradict each other.
    pub conflicts: BTreeSet<Conflict>,
    /// Merged documents that are too large to be made.
    pub oversized: Vec<String>,
    /// No peer serves, and the rotation is the last one that there was.
    pub frozen: bool,
    /// What must be remembered over a restart.
    pub memory: Memory,
}

/// An Envoy cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The peers in it, sorted.
    pub endpoints: Vec<SocketAddr>,
}

/// What must be remembered over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The configured peers.
    pub peers: Vec<PeerMemory>,
    /// The names of the identity headers that a peer told.
    #[serde(default, rename = "requestHeaders", skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaders>,
}

/// What must be remembered of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerMemory {
    /// The name of the peer.
    pub name: String,
    /// The address; another one is another peer.
    pub address: SocketAddr,
    /// What was last seen of it.
    pub state: PeerState,
    /// Whether it was in the last rotation.
    pub in_rotation: bool,
    /// How long it has been out of rotation, counted while a companion ran.
    pub absent_seconds: u64,
    /// The version that it said it is.
    pub version: Option<Arc<str>>,
    /// Its types.
    pub known: Known,
    /// What its documents say of what is built into it.
    #[serde(default)]
    pub documents: DocumentMemory,
}

/// What must be remembered of a peer's discovery documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentMemory {
    /// `/api`.
    pub core: Option<Arc<Aggregated>>,
    /// `/apis`.
    pub named: Option<Arc<Aggregated>>,
}

impl Index {
    /// An index of the configured peers, with what is remembered of them.
    #[must_use]
    pub fn new(config: Arc<Config>, memory: Memory) -> Self {
        let mut last_rotation = BTreeSet::new();
        let mut peers: Vec<_> = config.peers.iter().map(Tracked::new).collect();
        for remembered in memory.peers {
            let Some(position) = peers.iter().position(|peer| peer.is(&remembered)) else {
                continue;
            };
            let (before, rest) = peers.split_at_mut(position);
            let Some((peer, _)) = rest.split_first_mut() else { continue };
            if remembered.in_rotation {
                last_rotation.insert(peer.name.clone());
            }
            peer.restore(remembered);
            before.iter().for_each(|other| peer.known.share_with(&other.known));
        }
        Self {
            config,
            peers,
            last_rotation,
            request_headers_asked: memory.request_headers.is_some(),
            request_headers: memory.request_headers,
            origins: Origins::default(),
            packer: Mutex::default(),
            now: Duration::ZERO,
        }
    }

    /// Takes an event in; whether the snapshot may be another now.
    pub fn apply(&mut self, event: Event, now: Duration) -> bool {
        let passed = now.saturating_sub(self.now);
        self.now = now;
        let mut changed = self.pass(passed);
        match event {
            Event::Tick => {}
            Event::RequestHeaders(names) => {
                self.request_headers_asked = true;
                if names.is_some() && names != self.request_headers {
                    self.request_headers = names;
                    changed = true;
                }
            }
            Event::Origins(origins) => {
                changed |= self.origins != origins;
                self.origins = origins;
            }
            Event::Configured(config) => {
                self.configure(config);
                changed = true;
            }
            Event::Reported(report) => {
                let reported = &report.peer;
                // Not found: a last word from a peer that is configured no more.
                let found = self.peers.iter().position(|peer| peer.is_configured_as(reported));
                if let Some(position) = found {
                    changed |= self.observe(position, report.asked, report.observation);
                }
            }
        }
        self.remember_rotation();
        changed
    }

    /// Whether every peer was asked at least once, and one of them for the
    /// names of the identity headers if any are sent.
    #[must_use]
    pub fn all_asked(&self) -> bool {
        let names = self.config.front_proxy.is_none() || self.request_headers_asked;
        names && self.peers.iter().all(|peer| peer.asked)
    }

    /// Every peer as the endpoint shows it.
    #[must_use]
    pub fn statuses(&self) -> Vec<PeerStatus> {
        self.peers.iter().map(|peer| peer.status(self.now, self.config.forget_after)).collect()
    }

    /// Every peer for those who ask it again.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.peers.iter().map(Tracked::view).collect()
    }

    /// Counts the time out of rotation; whether a peer was forgotten by it.
    fn pass(&mut self, passed: Duration) -> bool {
        // While no peer serves it is not known who is absent.
        if self.peers.iter().all(|peer| peer.state != PeerState::Serving) {
            return false;
        }
        let forget_after = self.config.forget_after;
        let mut changed = false;
        for peer in self.peers.iter_mut().filter(|peer| peer.state != PeerState::Serving) {
            let before = peer.is_forgotten(forget_after);
            peer.absent = peer.absent.saturating_add(passed);
            changed |= peer.is_forgotten(forget_after) != before;
        }
        changed
    }

    fn observe(&mut self, position: usize, asked: Instant, observation: Observation) -> bool {
        let (before, rest) = self.peers.split_at_mut(position);
        let Some((peer, after)) = rest.split_first_mut() else { return false };
        let changed = peer.observe(asked, observation, self.now);
        if changed {
            for other in before.iter().chain(after.iter()) {
                peer.share_with(other);
            }
        }
        changed
    }

    fn configure(&mut self, config: Arc<Config>) {
        let mut old = std::mem::take(&mut self.peers);
        for peer in &config.peers {
            let same = old.iter().position(|known| known.is_configured_as(peer));
            self.peers.push(same.map_or_else(|| Tracked::new(peer), |at| old.swap_remove(at)));
        }
        let configured: BTreeSet<_> = self.peers.iter().map(|peer| &peer.name).collect();
        self.last_rotation.retain(|name| configured.contains(name));
        self.config = config;
    }

    fn remember_rotation(&mut self) {
        let serving = self.peers.iter().filter(|peer| peer.state == PeerState::Serving);
        let serving: BTreeSet<_> = serving.map(|peer| peer.name.clone()).collect();
        if !serving.is_empty() {
            self.last_rotation = serving;
        }
    }
}
