//! One peer as the index knows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{
    Belief, Change, Listing, MinorVersion, OpenApiIndex, Origins, Part, ServerVersion,
};
use discovery_map::PeerState;

use super::snapshot::PeerMemory;
use crate::config::{Peer, PeerName};
use crate::facts::{Observation, PeerStatus, Reading};

/// One peer.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The name that is shown, unique among all.
    pub name: PeerName,
    /// The name that its source has for it.
    own_name: PeerName,
    pub address: SocketAddr,
    pub state: PeerState,
    pub belief: Belief,
    pub version: Option<ServerVersion>,
    /// How long it has been out of rotation.
    pub absent: Duration,
    /// Whether any round at it ended.
    pub asked: bool,
    /// Whether its source does not have it any more.
    pub left: bool,
    /// Whether it joined others, and got no request yet.
    late: bool,
    /// Whether it joined others while the source was watched, and since then never answered that it
    /// is ready: nobody can have used it, through whatever Envoy.
    unused: bool,
    /// Whether it was in the last rotation that had a peer that is ready.
    pub in_last_rotation: bool,
    last_error: Option<String>,
    /// The error of the round before.
    error_before: Option<String>,
    /// Whether it has ever served.
    has_served: bool,
    /// Why its index of OpenAPI v3 could not be read the last time.
    open_api_error: Option<String>,
    last_answer: Option<Duration>,
    /// Since when, and how often, its types have changed within `RESTLESS`.
    changes: (Duration, u32),
}

/// A peer whose types change this often within this time is logged. No control
/// plane does so for long, but a broken aggregated API may.
const RESTLESS: (Duration, u32) = (Duration::from_secs(60), 20);

/// Within this time a peer has seen all that another had when it left. Caches of
/// custom resource definitions lag by fractions of a second; the rest is for
/// servers that the other's clients overload.
pub(super) const JUST: Duration = Duration::from_secs(5);

/// The version is read of peers that serve.
fn has_served(remembered: &PeerMemory) -> bool {
    remembered.state == PeerState::Serving || remembered.version.is_some()
}

/// Returns the remembered peers.
pub(super) fn restore(memory: Vec<PeerMemory>) -> Vec<Tracked> {
    let mut peers = Vec::<Tracked>::with_capacity(memory.len());
    for remembered in memory {
        // Only valid names are saved.
        let Ok(name) = remembered.name.parse() else { continue };
        let mut tracked = Tracked::new(&Peer { name, address: remembered.address });
        tracked.restore(remembered);
        peers.iter().for_each(|other| tracked.belief.share_with(&other.belief));
        peers.push(tracked);
    }
    peers
}

impl Tracked {
    pub(super) fn new(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            own_name: peer.name.clone(),
            address: peer.address,
            state: PeerState::Unreachable,
            left: false,
            late: false,
            unused: false,
            in_last_rotation: false,
            belief: Belief::default(),
            version: None,
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

    /// A peer whose address changed is a different peer, whatever its name.
    pub(super) fn is(&self, peer: &Peer) -> bool {
        self.own_name == peer.name && self.address == peer.address
    }

    /// Notes that its source has it, again if it had left.
    pub(super) fn join(&mut self) {
        self.left = false;
        self.name = self.own_name.clone();
    }

    /// Notes that it joins others. `new`: it does so now, and not only as this companion sees it.
    pub(super) fn join_others(&mut self, new: bool) {
        self.late = true;
        self.unused = new;
    }

    /// Notes that clients can have used what only it serves, whether or not it was read.
    pub(super) fn count(&mut self) {
        self.late = false;
        self.unused = false;
    }

    /// Returns whether it is certain that nobody has used what it serves.
    pub(super) fn is_unused(&self) -> bool {
        self.unused
    }

    /// Returns the order of those that left: the same for everybody who saw the same leave.
    pub(super) fn place(&self) -> impl Ord + use<> {
        (self.own_name.clone(), self.address)
    }

    /// Notes that its source does not have it any more: until it is forgotten, it counts as one
    /// that died. Returns whether that is worth remembering.
    pub(super) fn leave(&mut self) -> bool {
        if !self.left {
            self.left = true;
            self.enter(PeerState::Unreachable, Some("its source does not have it".to_owned()));
        }
        // There are no objects of types that nobody has used.
        self.has_served || !self.unused
    }

    /// Returns whether its types can be relied on.
    pub(super) fn is_read(&self) -> bool {
        self.belief.is_complete()
    }

    /// Returns whether it gets requests. One that came late gets none before it was read: the
    /// others can answer, and what it serves is not known.
    pub(super) fn is_usable(&self) -> bool {
        self.state == PeerState::Serving && (self.is_read() || !self.late)
    }

    fn restore(&mut self, remembered: PeerMemory) {
        self.state = remembered.state;
        self.left = remembered.left;
        self.has_served = has_served(&remembered);
        self.in_last_rotation = remembered.in_rotation;
        self.late = remembered.late;
        self.absent = Duration::from_secs(remembered.absent_seconds);
        self.version = remembered.version();
        match remembered.belief {
            Some(belief) => self.belief = belief,
            None => tracing::warn!(
                peer = %self.name,
                "the saved state does not have the types of the peer: they are unknown until its discovery is read"
            ),
        }
    }

    pub(super) fn memory(&self, origins: &Origins) -> PeerMemory {
        PeerMemory {
            name: self.own_name.to_string(),
            left: self.left,
            late: self.late,
            address: self.address,
            state: self.state,
            in_rotation: self.in_last_rotation,
            absent_seconds: self.absent.as_secs(),
            version: self.version.as_ref().map(|version| Arc::clone(&version.git_version)),
            minor_version: self.minor(),
            belief: Some(self.belief.to_save(|group, version| origins.is_built_in(group, version))),
        }
    }

    /// Returns the version whose API it serves.
    pub(super) fn minor(&self) -> Option<MinorVersion> {
        self.version.as_ref().and_then(|version| version.minor)
    }

    /// Returns whether it served until a moment ago.
    pub(super) fn just_left(&self) -> bool {
        self.has_served && self.state != PeerState::Serving && self.absent < JUST
    }

    pub(super) fn is_forgotten(&self, forget_after: Duration) -> bool {
        self.state != PeerState::Serving && self.absent >= forget_after
    }

    /// Takes in the result of a round. Returns whether anything that counts changed.
    pub(super) fn observe(&mut self, observation: Observation, now: Duration) -> bool {
        let asked = self.asked;
        let mut changed = !asked | self.may_be_used(&observation);
        self.asked = true;
        match observation {
            Observation::Serving { readings, version, open_api } => {
                self.last_answer = Some(now);
                self.error_before = self.last_error.take();
                self.absent = Duration::ZERO;
                self.has_served = true;
                let is_back = self.enter(PeerState::Serving, None);
                changed |= is_back;
                if is_back {
                    self.belief.forget_storage();
                }
                for (part, reading) in readings {
                    changed |= self.read(part, reading, now);
                }
                // A peer that is back may have another version than the one that left.
                if (version.is_some() || is_back) && version != self.version {
                    self.version = version;
                    changed = true;
                }
                changed |= self.read_open_api(open_api);
            }
            Observation::StorageVersions(documents) => {
                for ((group, version), document) in documents {
                    changed |= self.belief.update_storage(&group, &version, &document);
                }
                self.asked = asked;
            }
            Observation::NotReady { reason } => {
                self.last_answer = Some(now);
                changed |= self.enter(PeerState::NotReady, Some(reason));
            }
            Observation::Unreachable { reason, .. } => {
                changed |= self.enter(PeerState::Unreachable, Some(reason));
            }
            Observation::Inconclusive { reason } => self.last_error = Some(reason),
        }
        changed
    }

    /// Notes if a round leaves it open whether others use the peer. Returns whether that is new.
    fn may_be_used(&mut self, observation: &Observation) -> bool {
        let is_down = match observation {
            Observation::NotReady { .. } | Observation::StorageVersions(_) => true,
            Observation::Unreachable { refused, .. } => *refused,
            Observation::Serving { .. } | Observation::Inconclusive { .. } => false,
        };
        let was_unused = self.unused;
        self.unused &= is_down;
        was_unused && !is_down
    }

    fn read(&mut self, part: Part, reading: Reading<Listing>, now: Duration) -> bool {
        match reading {
            Reading::Unchanged => false,
            Reading::Read(listing) => {
                let change = self.belief.update(part, listing);
                if change == Change::Types {
                    let types = self.belief.type_count();
                    let path = part.path();
                    tracing::info!(peer = %self.name, path, types, "discovery changed");
                    self.count_change(now);
                }
                change != Change::Nothing
            }
            Reading::Failed(error) => {
                // Logged once, as long as it stays the same.
                if self.error_before.as_ref() != Some(&error) {
                    let path = part.path();
                    tracing::warn!(peer = %self.name, path, error, "cannot read discovery");
                }
                self.last_error = Some(error);
                false
            }
        }
    }

    fn read_open_api(&mut self, reading: Reading<OpenApiIndex>) -> bool {
        match reading {
            Reading::Unchanged => false,
            Reading::Read(index) => {
                self.open_api_error = None;
                self.belief.update_open_api(index)
            }
            Reading::Failed(error) => {
                if self.open_api_error.as_ref() != Some(&error) {
                    tracing::warn!(peer = %self.name, error, "cannot read the OpenAPI v3 index");
                }
                self.open_api_error = Some(error);
                false
            }
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
            let peer = &self.name;
            tracing::warn!(%peer, changes = most, ?within, "peer's types keep changing");
        }
    }

    fn enter(&mut self, state: PeerState, reason: Option<String>) -> bool {
        let changed = self.state != state;
        if changed {
            let reason = reason.as_deref().unwrap_or("ready");
            let from = self.state;
            tracing::info!(peer = %self.name, ?from, to = ?state, reason, "peer state changed");
        }
        self.last_error = reason;
        self.state = state;
        changed
    }

    pub(super) fn status(
        &self,
        answering: bool,
        now: Duration,
        forget_after: Duration,
    ) -> PeerStatus {
        PeerStatus {
            name: self.name.to_string(),
            address: self.address,
            state: self.state,
            left: self.left,
            forgotten: self.is_forgotten(forget_after),
            version: self.version.as_ref().map(|version| Arc::clone(&version.git_version)),
            minor_version: self.minor(),
            answering,
            discovery_known: self.is_read(),
            types: self.belief.type_count(),
            last_answer_seconds_ago: self.last_answer.map(|at| now.saturating_sub(at).as_secs()),
            absent_seconds: self.absent.as_secs(),
            last_error: self.last_error.clone(),
        }
    }
}
