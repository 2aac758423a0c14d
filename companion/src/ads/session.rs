//! What one Envoy has, and what it gets next. Pure: it knows neither streams nor clocks.
//!
//! ```text
//!  Request ─▶ Session::handle ─▶ Answer (the Envoy acknowledged or refused a push)
//!                 │ by the name of each resource
//!                 ▼
//!               Lane (one for each control plane: what the Envoy has of it, and gets next)
//!                 │ what all of them have to send
//!                 ▼
//!  Snapshot ─▶ Session::next ──▶ Push (at most one of each type is unanswered)
//! ```
//!
//! Within a lane, the order is by acknowledgment (`session/lane.rs`). Lanes do not wait for each
//! other. Listeners come after the clusters of every control plane that they name, and before what
//! is left of one that they no longer name goes (`session/listeners.rs`).
//!
//! Invariants:
//! - Whatever snapshots were left out in between, no Envoy gets a map before the clusters that it
//!   names, with their endpoints.
//! - What an Envoy has refused is not sent again unless something in it changes, and then in a push
//!   of its own. A push that has something of several control planes and is refused is repeated in
//!   halves, until it is known whose it is.
//! - The memory of a session is bounded by the resources that exist and by `MOST_NAMES`
//!   (`session/exchange.rs`).

mod admission;
mod channel;
mod exchange;
mod lane;
mod listeners;
mod names;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kind::{ByKind, Kind, WILDCARD};
use super::resource::Resource;
use super::snapshot::Snapshot;
use super::version::version_of_parts;
use crate::xds::EncodeError;
use admission::Admission;
use channel::Channel;
use exchange::MOST_NAMES;
pub use exchange::{Answer, LARGEST_REQUEST, Outcome, Push, Request, TooManyNames};
use lane::{Around, Lane, Target};
use names::SHARED;
pub use names::owner;
use state::Change;

#[derive(Debug)]
pub struct Session {
    /// By the prefix of the control plane's clusters.
    lanes: BTreeMap<String, Lane>,
    channels: ByKind<Channel>,
    admission: Admission,
    /// The latest snapshot.
    target: Arc<Snapshot>,
    /// The control plane to which names without one belong.
    alone: String,
    /// The lanes that may have something to send.
    open: BTreeSet<String>,
    pushes: u64,
    generation: u64,
    /// Whether the Envoy is told that what it asks for by name does not exist. Only one form of the
    /// protocol can tell that; the other one always sends everything.
    tells_absence: bool,
}

impl Session {
    /// Returns a session with an Envoy that has said nothing yet.
    pub fn new(tells_absence: bool) -> Self {
        Self {
            lanes: BTreeMap::from([(SHARED.to_owned(), Lane::default())]),
            channels: ByKind::default(),
            admission: Admission::default(),
            target: Arc::default(),
            alone: SHARED.to_owned(),
            open: BTreeSet::from([SHARED.to_owned()]),
            pushes: 0,
            generation: 0,
            tells_absence,
        }
    }

    /// Takes note of a request. Returns how a push ended, if this ends one.
    ///
    /// # Errors
    /// The Envoy asks for too many names.
    pub fn handle(&mut self, request: Request) -> Result<Option<Answer>, TooManyNames> {
        self.subscribe(&request)?;
        let Request { kind, nonce, refusal, .. } = request;
        let Some(lanes) = self.channels.get_mut(kind).take_answered(&nonce) else {
            return Ok(None);
        };
        let outcome = match (refusal, lanes.as_slice()) {
            (None, _) => {
                lanes.iter().for_each(|lane| self.lane(lane).state_mut(kind).acknowledge());
                Outcome::Acknowledged
            }
            (Some(reason), [_]) if kind == Kind::Listeners => self.refuse_listeners(reason),
            (Some(reason), [part]) => {
                self.lane(part).state_mut(kind).refuse();
                Outcome::Refused { part: part.clone(), reason }
            }
            (Some(_), _) => {
                for lane in &lanes {
                    self.lane(lane).state_mut(kind).withdraw();
                }
                self.channels.get_mut(kind).divide(lanes);
                Outcome::Divided
            }
        };
        Ok(Some(Answer { kind, outcome }))
    }

    fn subscribe(&mut self, request: &Request) -> Result<(), TooManyNames> {
        let Request { kind, subscribe, unsubscribe, versions, .. } = request;
        let kind = *kind;
        let channel = self.channels.get_mut(kind);
        let again = channel.asked;
        if !again {
            channel.asked = true;
            channel.all = kind.is_for_all();
            channel.resumed = request.resumes;
            if versions.len() > MOST_NAMES {
                return Err(TooManyNames);
            }
            self.open.extend(self.lanes.keys().cloned());
            for (name, version) in versions {
                let lane = self.lane_of(kind, name);
                lane.state_mut(kind).resume(name.clone(), version.clone());
            }
        }
        for name in unsubscribe.iter().filter(|name| *name != WILDCARD) {
            if self.lane_of(kind, name).state_mut(kind).unsubscribe(name) {
                self.channels.get_mut(kind).uncount(name);
            }
        }
        for name in subscribe.iter().filter(|name| *name != WILDCARD) {
            if self.lane_of(kind, name).state_mut(kind).subscribe(name, again) {
                self.channels.get_mut(kind).count(name)?;
            }
        }
        let channel = self.channels.get_mut(kind);
        let has = |names: &[String]| names.iter().any(|name| name == WILDCARD);
        channel.all = (channel.all && !has(unsubscribe)) || has(subscribe);
        Ok(())
    }

    /// Returns a lane. It may have something to send from now on.
    fn lane(&mut self, name: &str) -> &mut Lane {
        if !self.open.contains(name) {
            self.open.insert(name.to_owned());
        }
        self.lanes.entry(name.to_owned()).or_default()
    }

    /// Returns the lane of a name.
    fn lane_of(&mut self, kind: Kind, name: &str) -> &mut Lane {
        match owner(kind, name) {
            Some(lane) => self.lane(lane),
            None => self.lane(&self.alone.clone()),
        }
    }

    /// Returns what the Envoy gets now, on the way to this snapshot. Remembers it as sent. `now`, in
    /// microseconds since 1970, makes generations that the Envoy never had from any companion.
    ///
    /// # Errors
    /// A resource cannot be encoded: a fault of this program.
    pub fn next(&mut self, target: &Arc<Snapshot>, now: u64) -> Result<Vec<Push>, EncodeError> {
        self.aim(target);
        self.admit();
        self.generation = self.generation.max(now);
        let mut pushes = Vec::new();
        let mut waiting = BTreeSet::from([SHARED.to_owned()]);
        for kind in Kind::ALL {
            if !self.channels.get(kind).asked {
                continue;
            }
            let mut changes = self.changes(kind)?;
            pushes.extend(self.push(kind, &mut changes));
            waiting.extend(changes.into_keys());
        }
        let lanes = &self.lanes;
        self.open.retain(|name| {
            let gone = |lane: &Lane| matches!(lane.target, Target::Gone) && !lane.is_empty();
            waiting.contains(name) || lanes.get(name).is_some_and(gone)
        });
        self.lanes.retain(|name, lane| name == SHARED || !lane.is_empty());
        Ok(pushes)
    }

    /// Takes another snapshot as the target.
    fn aim(&mut self, target: &Arc<Snapshot>) {
        if Arc::ptr_eq(target, &self.target) {
            return;
        }
        if let Some(listeners) = &target.listeners
            && target.listeners != self.target.listeners
        {
            self.admission.aim(&listeners.all);
        }
        self.target = Arc::clone(target);
        for (name, part) in &target.parts {
            self.aim_lane(name, Target::Part(Arc::clone(part)));
        }
        for name in &target.awaited {
            self.aim_lane(name, Target::Awaited);
        }
        let connections = target.listeners.iter().flat_map(|listeners| &listeners.connections);
        let mut chains = BTreeSet::new();
        for one in connections.map(|(_, one)| one) {
            if let Some(lane) = owner(Kind::Filter, &one.name) {
                self.aim_lane(lane, Target::Connections(Arc::clone(one)));
                chains.insert(lane);
            }
        }
        let exists = |lane: &str| {
            let part = target.parts.contains_key(lane) || target.awaited.contains(lane);
            part || chains.contains(lane)
        };
        let gone: Vec<_> = self.lanes.keys().filter(|lane| !exists(lane)).cloned().collect();
        for name in gone {
            self.aim_lane(&name, Target::Gone);
        }
        let mut known = target.known();
        if let (Some(alone), None) = (known.next(), known.next()) {
            self.alone.clone_from(alone);
            self.adopt();
        }
    }

    fn aim_lane(&mut self, name: &str, target: Target) {
        if self.lanes.get(name).is_none_or(|lane| lane.target != target) {
            self.lane(name).target = target;
        }
    }

    /// Gives what belongs to no control plane to the only one that there is.
    fn adopt(&mut self) {
        let alone = self.alone.clone();
        for kind in [Kind::Secrets, Kind::Filter] {
            let state = std::mem::take(self.lane(SHARED).state_mut(kind));
            self.lane(&alone).state_mut(kind).absorb(state);
        }
    }

    /// Returns what each lane has to send of a type.
    fn changes(&self, kind: Kind) -> Result<BTreeMap<String, Change>, EncodeError> {
        let all = ByKind::of(|kind| self.channels.get(kind).all);
        let mut changes = BTreeMap::new();
        for name in &self.open {
            let Some(lane) = self.lanes.get(name) else { continue };
            let may_go = matches!(lane.target, Target::Gone) && self.may_go(name);
            let around = Around { all, absent: self.tells_absence, may_go };
            let change = match kind {
                Kind::Listeners if name == SHARED => self.change_of_listeners(around),
                Kind::Listeners => None,
                _ => lane.change(kind, around)?,
            };
            changes.extend(change.map(|change| (name.clone(), change)));
        }
        Ok(changes)
    }

    /// Takes what is sent next out of `changes`.
    fn push(&mut self, kind: Kind, changes: &mut BTreeMap<String, Change>) -> Option<Push> {
        if !self.channels.get(kind).is_free() || self.would_drop(kind) {
            return None;
        }
        let mut sent = BTreeMap::new();
        while sent.is_empty() && !changes.is_empty() {
            let refused = |name: &&String| {
                self.lanes.get(*name).is_some_and(|lane| lane.state(kind).is_refused())
            };
            let (suspects, healthy) = changes.keys().cloned().partition(|name| refused(&name));
            let group = self.channels.get_mut(kind).next_group(healthy, suspects)?;
            sent = group.iter().filter_map(|name| changes.remove_entry(name)).collect();
        }
        if sent.is_empty() {
            return None;
        }
        // If an Envoy refuses a push, it removes nevertheless what that removes, and tells the next
        // companion that it still has it. A push that only removes is not refused.
        if kind.is_for_all() && sent.values().any(|change| !change.upserts.is_empty()) {
            changes.extend(sent.extract_if(.., |_, change| change.upserts.is_empty()));
        }
        self.pushes += 1;
        self.generation += 1;
        let (nonce, generation) = (self.pushes.to_string(), self.generation);
        let (mut upserts, mut removed) = (Vec::new(), Vec::new());
        self.channels.get_mut(kind).send(&nonce, sent.keys().cloned().collect());
        for (name, change) in sent {
            upserts.extend(change.upserts.iter().cloned());
            removed.extend(change.removed.iter().cloned());
            self.lane(&name).send(kind, change, generation);
        }
        Some(Push { kind, nonce, upserts, removed, generation })
    }

    /// Returns whether a push would take from an Envoy what it has of a control plane without a map. In
    /// the form that always sends everything, whatever is left out is gone.
    fn would_drop(&self, kind: Kind) -> bool {
        let drops = !self.tells_absence && kind.is_for_all();
        drops && self.channels.get(kind).resumed && !self.target.awaited.is_empty()
    }

    /// Returns the nonce of the last push of a type. Empty if there was none.
    pub fn last_nonce(&self, kind: Kind) -> &str {
        self.channels.get(kind).last_nonce()
    }

    /// Returns the names of a type that the Envoy asks for.
    pub fn names(&self, kind: Kind) -> BTreeSet<String> {
        let states = self.lanes.values().map(|lane| lane.state(kind));
        let names = states.flat_map(|state| state.names().iter().cloned());
        let all = self.channels.get(kind).all && !kind.is_for_all();
        names.chain(all.then(|| WILDCARD.to_owned())).collect()
    }

    /// Returns the version of everything that the Envoy has of a type. `None` if it has nothing.
    pub fn version(&self, kind: Kind) -> Option<String> {
        let lanes = self.lanes.iter();
        let lanes =
            lanes.filter_map(|(name, lane)| Some((name.as_str(), lane.state(kind).version()?)));
        version_of_parts(&lanes.collect())
    }

    /// Returns everything that the Envoy has once it accepts a push, for the form of the protocol
    /// that always sends everything.
    pub fn all_with(&self, push: &Push) -> Vec<(Arc<Resource>, u64)> {
        let states = self.lanes.values().map(|lane| lane.state(push.kind));
        let held = states.flat_map(|state| state.has().values());
        let held = held.filter_map(|held| Some((held.resource.clone()?, held.generation)));
        let sent = push.upserts.iter().map(|resource| (Arc::clone(resource), push.generation));
        let all = held
            .chain(sent)
            .map(|(resource, generation)| (resource.name.clone(), (resource, generation)));
        let mut all: BTreeMap<_, _> = all.collect();
        for name in &push.removed {
            all.remove(name);
        }
        all.into_values().collect()
    }
}
