//! One peer as the index knows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use discovery_map::PeerState;

use super::{DocumentMemory, PeerMemory};
use crate::config::{Peer, PeerName};
use crate::facts::{Observation, PeerStatus, Reading, View};
use api_discovery::{Aggregated, Group, OpenApiIndex};
use api_discovery::{Known, Origins, Part};

/// One peer.
#[derive(Debug)]
pub(super) struct Tracked {
    pub name: PeerName,
    pub address: SocketAddr,
    pub state: PeerState,
    pub known: Known,
    /// What it said, as it said it: `/api` and `/apis`.
    pub core: Option<Arc<Aggregated>>,
    pub named: Option<Arc<Aggregated>>,
    pub open_api: Option<Arc<OpenApiIndex>>,
    /// The part of that which an earlier run read; it counts only while the
    /// peer is away and was not read since.
    pub remembered: DocumentMemory,
    pub version: Option<Arc<str>>,
    /// When the rounds began that read `/api` and `/apis`.
    read_at: [Option<Instant>; 2],
    /// How long it has been out of rotation.
    pub absent: Duration,
    /// Whether any round at it ended.
    pub asked: bool,
    last_error: Option<String>,
    /// The one of the round before.
    error_before: Option<String>,
    /// Whether it has ever served.
    has_served: bool,
    /// Why its index of OpenAPI v3 could not be read the last time.
    open_api_error: Option<String>,
    last_answer: Option<Duration>,
    /// Since when, and how often, its types have changed within `RESTLESS`.
    changes: (Duration, u32),
}

/// A peer whose types change more often than this within a minute is named: no
/// control plane does so for long, but a broken aggregated API may.
const RESTLESS: (Duration, u32) = (Duration::from_secs(60), 20);

/// Within this time a peer has seen all that another had when it left. Caches
/// of custom resource definitions follow by fractions of a second; this is for
/// those of servers that are overloaded by the other's clients.
const JUST: Duration = Duration::from_secs(5);

impl Tracked {
    pub(super) fn new(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            address: peer.address,
            state: PeerState::Unreachable,
            known: Known::default(),
            core: None,
            named: None,
            open_api: None,
            remembered: DocumentMemory::default(),
            version: None,
            read_at: [None; 2],
            absent: Duration::ZERO,
            asked: false,
            last_error: None,
            error_before: None,
            has_served: false,
            open_api_error: None,
            last_answer: None,
            changes: (Duration::ZERO, 0),
        }
    }

    pub(super) fn is(&self, remembered: &PeerMemory) -> bool {
        self.name.as_str() == remembered.name && self.address == remembered.address
    }

    /// A peer with another address is another peer, whatever its name.
    pub(super) fn is_configured_as(&self, peer: &Peer) -> bool {
        self.name == peer.name && self.address == peer.address
    }

    pub(super) fn restore(&mut self, remembered: PeerMemory) {
        self.state = remembered.state;
        self.has_served = remembered.state == PeerState::Serving;
        self.absent = Duration::from_secs(remembered.absent_seconds);
        self.version = remembered.version;
        self.known = remembered.known;
        self.remembered = remembered.documents;
    }

    /// Of the documents only what is built in, and so little, is remembered:
    /// the rest is only ever used of peers that answer.
    pub(super) fn memory(&self, in_rotation: bool, origins: &Origins) -> PeerMemory {
        let built_in = |group: &Group| {
            group.versions.iter().any(|version| origins.is_built_in(&group.name, version))
        };
        let part = |read: &Option<Arc<Aggregated>>, remembered: &Option<Arc<Aggregated>>| {
            let read = read.as_ref().map(|document| Arc::new(document.only(built_in)));
            read.or_else(|| remembered.clone())
        };
        let DocumentMemory { core, named } = &self.remembered;
        let documents =
            DocumentMemory { core: part(&self.core, core), named: part(&self.named, named) };
        PeerMemory {
            name: self.name.to_string(),
            address: self.address,
            state: self.state,
            in_rotation,
            absent_seconds: self.absent.as_secs(),
            version: self.version.clone(),
            known: self.known.clone(),
            documents,
        }
    }

    pub(super) fn view(&self) -> View {
        let etag = |document: &Option<Arc<Aggregated>>| document.as_ref()?.etag.clone();
        View {
            peer: Peer { name: self.name.clone(), address: self.address },
            serving: self.state == PeerState::Serving,
            just_left: self.has_served && self.state != PeerState::Serving && self.absent < JUST,
            known: self.known.clone(),
            etags: [(Part::Core, etag(&self.core)), (Part::Named, etag(&self.named))],
        }
    }

    pub(super) fn is_forgotten(&self, forget_after: Duration) -> bool {
        self.state != PeerState::Serving && self.absent >= forget_after
    }

    /// Takes the end of a round in; whether anything that counts is different.
    pub(super) fn observe(
        &mut self,
        began: Instant,
        observation: Observation,
        now: Duration,
    ) -> bool {
        let asked = self.asked;
        let mut changed = !asked;
        self.asked = true;
        match observation {
            Observation::Serving { readings, version, open_api } => {
                self.last_answer = Some(now);
                self.error_before = self.last_error.take();
                self.absent = Duration::ZERO;
                self.has_served = true;
                changed |= self.enter(PeerState::Serving, None);
                for (part, reading) in readings {
                    changed |= self.read(part, began, reading, now);
                }
                if version.is_some() && version != self.version {
                    self.version = version;
                    changed = true;
                }
                match open_api {
                    Some(Ok(index)) => changed |= self.read_open_api(*index),
                    Some(Err(reason)) => self.open_api_failed(reason),
                    None => {}
                }
            }
            Observation::Discovered { readings } => {
                // A peer that is out of rotation meanwhile may list a part only.
                if self.state == PeerState::Serving {
                    for (part, reading) in readings {
                        changed |= self.read(part, began, reading, now);
                    }
                }
                self.asked = asked;
            }
            Observation::NotReady { reason } => {
                self.last_answer = Some(now);
                changed |= self.enter(PeerState::NotReady, Some(reason));
            }
            Observation::Unreachable { reason } => {
                changed |= self.enter(PeerState::Unreachable, Some(reason));
            }
            Observation::Inconclusive { reason } => self.last_error = Some(reason),
        }
        changed
    }

    fn read(&mut self, part: Part, began: Instant, reading: Reading, now: Duration) -> bool {
        match reading {
            Reading::Unchanged => false,
            Reading::Listed(listing, document) => {
                let read_at = self.read_at(part);
                if read_at.is_some_and(|read_at| read_at > began) {
                    return false;
                }
                *read_at = Some(began);
                // No server serves nothing: see `Known::update`.
                let empty = listing.0.is_empty();
                let types_changed = self.known.update(part, listing);
                let changed = types_changed | (!empty && self.keep(part, *document));
                if types_changed {
                    self.count_change(now);
                    let types = self.known.type_count();
                    tracing::info!(peer = %self.name, path = part.path(), types, "discovery changed");
                }
                changed
            }
            Reading::Failed(reason) => {
                // Said once, as long as it stays the same.
                if self.error_before.as_ref() != Some(&reason) {
                    let path = part.path();
                    tracing::warn!(peer = %self.name, path, reason, "discovery not read");
                }
                self.last_error = Some(reason);
                false
            }
        }
    }

    fn read_open_api(&mut self, index: OpenApiIndex) -> bool {
        self.open_api_error = None;
        let changed = self.open_api.as_deref() != Some(&index);
        if changed {
            self.open_api = Some(Arc::new(index));
        }
        changed
    }

    /// Said once, as long as it stays the same; what was read before stays.
    fn open_api_failed(&mut self, reason: String) {
        if self.open_api_error.as_ref() != Some(&reason) {
            tracing::warn!(peer = %self.name, reason, "index of OpenAPI v3 not read");
        }
        self.open_api_error = Some(reason);
    }

    /// When the round began that read this half last.
    fn read_at(&mut self, part: Part) -> &mut Option<Instant> {
        let [core, named] = &mut self.read_at;
        match part {
            Part::Core => core,
            Part::Named => named,
        }
    }

    fn count_change(&mut self, now: Duration) {
        let (within, most) = RESTLESS;
        let (since, count) = &mut self.changes;
        if now.saturating_sub(*since) > within {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count == most {
            tracing::warn!(peer = %self.name, changes = most, ?within, "what it serves changes all the time");
        }
    }

    /// Keeps a document; whether it is another.
    fn keep(&mut self, part: Part, document: Aggregated) -> bool {
        let kept = match part {
            Part::Core => &mut self.core,
            Part::Named => &mut self.named,
        };
        let mut document = document.over(kept.as_deref());
        if let Some(before) = kept.as_deref() {
            if *before == document {
                return false;
            }
            document.share_with(before);
        }
        *kept = Some(Arc::new(document));
        true
    }

    /// Holds what another peer says as well only once.
    pub(super) fn share_with(&mut self, other: &Self) {
        self.known.share_with(&other.known);
        let halves = [(&mut self.core, &other.core), (&mut self.named, &other.named)];
        for (own, other) in halves {
            let (Some(kept), Some(other)) = (own.as_ref(), other) else { continue };
            if Arc::ptr_eq(kept, other) {
                continue;
            }
            if kept == other {
                *own = Some(Arc::clone(other));
            } else if let Some(kept) = own {
                Arc::make_mut(kept).share_with(other);
            }
        }
        if self.open_api == other.open_api {
            self.open_api.clone_from(&other.open_api);
        }
    }

    fn enter(&mut self, state: PeerState, reason: Option<String>) -> bool {
        let changed = self.state != state;
        if changed {
            let reason = reason.as_deref().unwrap_or("ready");
            tracing::info!(peer = %self.name, from = ?self.state, to = ?state, reason, "peer state");
        }
        self.last_error = reason;
        self.state = state;
        changed
    }

    pub(super) fn status(&self, now: Duration, forget_after: Duration) -> PeerStatus {
        PeerStatus {
            name: self.name.to_string(),
            address: self.address,
            state: self.state,
            forgotten: self.is_forgotten(forget_after),
            version: self.version.clone(),
            discovery_known: self.known.is_complete(),
            types: self.known.type_count(),
            last_answer_seconds_ago: self.last_answer.map(|at| now.saturating_sub(at).as_secs()),
            absent_seconds: self.absent.as_secs(),
            last_error: self.last_error.clone(),
        }
    }
}
