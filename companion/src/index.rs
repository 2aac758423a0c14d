//! What is known of all peers, and what follows from it.
//!
//! Synchronous: events in, [`Snapshot`] out. It logs what changed, but does no other I/O, and has
//! no clock: the time comes with each event, as a duration since any fixed moment.
//!
//! ```text
//!  Memory (disk) ──▶ Index::new
//!  Report (peer) ─┐                             ┌─▶ Index::snapshot ──▶ map, clusters, Memory
//!  Origins ───────┤                             ├─▶ Index::statuses
//!  header names ──┼─▶ Index::apply ──▶ changed? ┘
//!  Roster, Config, time ─┘
//! ```
//!
//! The rules, each of them a test in `index/tests.rs`:
//! - The peers whose `/readyz` says ok are in rotation, whether or not their discovery was ever
//!   read. If there are none, the last rotation stays: here, the death of all peers looks the same
//!   as a broken network of the companion, and Envoy notices the former itself.
//! - A peer out of rotation keeps its last known types until it is forgotten. One that left its
//!   source is out of rotation; one that a person removed from a list is forgotten at once.
//! - A peer that joins others gets no requests before it was read, while another can answer.
//! - While any peer is in rotation, only those types of a peer out of rotation count
//!   that are built into it. The others (custom resources, aggregated APIs) are in
//!   the store that all peers share, so the peers in rotation have them.
//! - A peer that calls a group-version stale does not serve it while another peer in rotation
//!   lists it afresh. If all call it stale, they all serve what was known.
//! - A verb that only some of the peers of a type have goes to those.
//! - The map is complete once every peer that is not forgotten has been read, but for those that
//!   nobody can have used yet; and once the source was watched for so long that everybody who left
//!   unseen would be forgotten ([`watch`]).

mod answering;
mod merge;
mod merged;
mod names;
mod peer;
mod roster;
mod sets;
mod snapshot;
#[cfg(test)]
mod tests;
mod types;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use api_discovery::{MergedOpenApi, MinorVersion, Origins, PackCache, Pool};
use discovery_map::{Mode, PeerState};

use crate::config::{Config, RequestHeaders};
use crate::facts::{Observation, PeerStatus, Report, Roster};
use answering::{Answering, Switch};
use peer::{JUST, Tracked};
use watch::Watch;

pub use names::local_cluster;
#[cfg(test)]
pub use snapshot::Cluster;
pub use snapshot::{Memory, Snapshot};

/// Everything that is known.
#[derive(Debug)]
pub struct Index {
    config: Arc<Config>,
    peers: Vec<Tracked>,
    /// Whether a person lists the peers.
    by_hand: bool,
    watch: Watch,
    answering: Answering,
    /// The names of the identity headers, if a peer told them.
    request_headers: Option<RequestHeaders>,
    /// Whether a peer was asked for them, or told them before a restart.
    request_headers_asked: bool,
    /// What the cluster says about its group-versions.
    origins: Origins,
    /// The merged documents of OpenAPI v3.
    open_api: Vec<Arc<MergedOpenApi>>,
    packs: PackCache,
    pool: Pool,
    now: Duration,
    /// When a peer was last removed from the configuration while it served, or had just left.
    removed_at: Option<Duration>,
    /// Whether one was removed before the first snapshot: Envoy learns of it by that.
    removed_before: bool,
}

/// Something that the index is told.
#[derive(Debug)]
pub enum Event {
    Configured(Arc<Config>),
    /// The source of the peers has these.
    Peers(Arc<Roster>),
    Reported(Report),
    /// A peer was asked for the names of the identity headers; `None` if it did not tell them.
    RequestHeaders(Option<RequestHeaders>),
    /// The cluster said where its group-versions come from.
    Origins(Origins),
    /// Documents of OpenAPI v3 were merged.
    OpenApi(MergedOpenApi),
    /// Time has passed.
    Tick,
}

impl Index {
    /// Returns an index of these peers, with what is remembered of them and of others.
    pub fn new(config: Arc<Config>, roster: &Roster, memory: Memory) -> Self {
        let watch = memory.watch(config.trust_first_peers);
        let mut index = Self {
            config,
            peers: Vec::new(),
            by_hand: memory.by_hand,
            watch,
            answering: Answering::restore(memory.answering),
            request_headers_asked: memory.request_headers.is_some(),
            request_headers: memory.request_headers,
            origins: Origins::default(),
            open_api: Vec::new(),
            packs: PackCache::default(),
            pool: Pool::default(),
            now: Duration::ZERO,
            removed_at: None,
            removed_before: false,
        };
        index.peers = peer::restore(memory.peers);
        index.removed_before = index.follow(roster);
        index
    }

    /// Shares with others what their peers say as well.
    pub fn share(mut self, pool: Pool) -> Self {
        self.peers.iter_mut().for_each(|peer| pool.share(&mut peer.belief));
        Self { pool, ..self }
    }

    /// Takes in an event. Returns whether the snapshot may have changed.
    pub fn apply(&mut self, event: Event, now: Duration) -> bool {
        let passed = now.saturating_sub(self.now);
        self.now = now;
        let mut changed = self.pass(passed);
        if self.removed_at.is_some_and(|at| now.saturating_sub(at) >= JUST) {
            self.removed_at = None;
            changed = true;
        }
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
            Event::OpenApi(merged) => {
                changed = true;
                self.open_api.push(Arc::new(merged));
            }
            Event::Configured(config) => {
                if config.mode != self.config.mode {
                    let (from, to) = (self.config.mode.as_str(), config.mode.as_str());
                    tracing::info!(from, to, "mode changed");
                }
                self.config = config;
                changed = true;
            }
            Event::Peers(roster) => {
                if self.follow(&roster) {
                    self.removed_at = Some(self.now);
                }
                changed = true;
            }
            Event::Reported(report) => {
                let reported = &report.peer;
                // Not found: the last report of a peer that its source no longer has.
                let mut peers = self.peers.iter();
                let found = peers.position(|peer| !peer.left && peer.is(reported));
                if let Some(position) = found {
                    changed |= self.observe(position, report.observation);
                }
            }
        }
        self.remember_rotation();
        changed | self.choose_version(passed)
    }

    /// Returns whether every peer was asked at least once, and one of them for the
    /// names of the identity headers if those are sent.
    pub fn all_asked(&self) -> bool {
        let names = !self.config.has_front_proxy() || self.request_headers_asked;
        names && self.has_peers() && self.peers_asked()
    }

    /// Returns whether there is any peer.
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    fn peers_asked(&self) -> bool {
        self.peers.iter().all(|peer| peer.asked || peer.left)
    }

    /// Returns every peer as the endpoint shows it.
    pub fn statuses(&self) -> Vec<PeerStatus> {
        let (rotation, _) = self.rotation();
        let status = |(position, peer): (usize, &Tracked)| {
            let answering = rotation.contains(position) && self.is_answering(peer);
            peer.status(answering, self.now, self.config.forget_after)
        };
        self.peers.iter().enumerate().map(status).collect()
    }

    /// Returns the answering version; `None` if all versions answer.
    pub fn answering_version(&self) -> Option<MinorVersion> {
        self.answering.version()
    }

    /// Returns how much of its decisions the filter carries out.
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// Counts the time out of rotation. Returns whether a peer was forgotten.
    fn pass(&mut self, passed: Duration) -> bool {
        let was_proof = self.is_proof();
        self.watch.pass(passed);
        let forgotten = self.pass_absent(passed);
        match (was_proof, self.is_proof()) {
            (false, true) => tracing::info!(
                "the source was watched for long enough: 404s for unknown types can be proved"
            ),
            (true, false) => tracing::warn!(
                "servers may have come and left unseen: unknown types get 503 until forgetAfter has passed"
            ),
            _ => return forgotten,
        }
        true
    }

    /// Returns whether it is certain that no server that left unseen served a type that no peer serves.
    fn is_proof(&self) -> bool {
        self.watch.is_proof(self.config.forget_after)
    }

    fn pass_absent(&mut self, passed: Duration) -> bool {
        // While no peer is ready, it is not known which ones are absent.
        if self.peers.iter().all(|peer| peer.state != PeerState::Serving) {
            return false;
        }
        let forget_after = self.config.forget_after;
        let mut changed = false;
        for peer in self.peers.iter_mut().filter(|peer| peer.state != PeerState::Serving) {
            let before = (peer.is_forgotten(forget_after), peer.just_left());
            peer.absent = peer.absent.saturating_add(passed);
            changed |= (peer.is_forgotten(forget_after), peer.just_left()) != before;
        }
        self.peers.retain(|peer| !(peer.left && peer.is_forgotten(forget_after)));
        changed
    }

    fn observe(&mut self, position: usize, observation: Observation) -> bool {
        let (before, rest) = self.peers.split_at_mut(position);
        let Some((peer, after)) = rest.split_first_mut() else { return false };
        let changed = peer.observe(observation, self.now);
        if changed {
            self.pool.share(&mut peer.belief);
            for other in before.iter().chain(after.iter()) {
                peer.belief.share_with(&other.belief);
            }
        }
        changed
    }

    /// Decides which version answers. Returns whether that changed.
    fn choose_version(&mut self, passed: Duration) -> bool {
        let (rotation, frozen) = self.rotation();
        // Whoever is asked first must not be the majority.
        let too_early = self.answering_version().is_none() && !self.peers_asked();
        if frozen || too_early {
            return false;
        }
        let peers = self.peers.iter().enumerate().filter(|(at, _)| rotation.contains(*at));
        let votes = peers.filter_map(|(_, peer)| peer.minor()).collect();
        let switch = self.answering.decide(self.config.answering_policy(), &votes, passed);
        let Some(Switch { from, to, reason }) = switch else { return false };
        let text =
            |version: Option<MinorVersion>| version.map_or("any".to_owned(), |v| v.to_string());
        let (from, to, reason) = (text(from), text(to), reason.text());
        tracing::info!(from, to, reason, "answering version changed");
        true
    }

    fn remember_rotation(&mut self) {
        let (rotation, frozen) = self.rotation();
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let is_member = rotation.contains(at);
            // Clients can have used what only this peer serves, whether or not it was read.
            if is_member {
                peer.count();
            }
            if !frozen {
                peer.in_last_rotation = is_member;
            }
        }
    }
}
