//! What one Envoy has, and what it gets next. Pure: it knows neither streams nor clocks.
//!
//! ```text
//!  Request ─▶ Session::handle ─▶ Answer (the Envoy acknowledged or refused a push)
//!  Snapshot ─▶ Session::next ──▶ Push (at most one of each type is unanswered)
//! ```
//!
//! The order is that of `publish/plan.rs`, by acknowledgment and for each Envoy on its own:
//!
//! 1. the endpoints that leave, the clusters that are new or changed, and the authorities that they
//!    name;
//! 2. when the Envoy has acknowledged all of these: the filter with the map;
//! 3. when it has acknowledged that: the endpoints that join, and the removal of clusters.
//!
//! Invariants:
//! - Whatever snapshots were left out in between, no Envoy gets a map before the clusters that it
//!   names, with their endpoints.
//! - What an Envoy has refused is not sent again unless something in it changes.
//! - The memory of a session is bounded by the resources that exist and by `MOST_NAMES`
//!   (`session/exchange.rs`).

mod exchange;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::kind::Kind;
use super::resource::{Resource, endpoints_of, version_of};
use super::snapshot::{Resources, Snapshot};
use crate::endpoints::Addresses;
use crate::publish::endpoints_around_map;
use crate::xds::EncodeError;
pub use exchange::{Answer, Push, Request, TooManyNames};
use state::Removals;
pub use state::State;

#[derive(Debug)]
pub struct Session {
    states: [State; Kind::ALL.len()],
    pushes: u64,
    /// Whether the Envoy is told that what it asks for by name does not exist.
    tells_absence: bool,
}

impl Session {
    /// Returns a session with an Envoy that has said nothing yet. Only one form of the protocol can
    /// tell that something does not exist.
    pub fn new(tells_absence: bool) -> Self {
        Self { states: Default::default(), pushes: 0, tells_absence }
    }

    /// Returns what is known of one type.
    pub fn state(&self, kind: Kind) -> &State {
        let [clusters, endpoints, secrets, filter] = &self.states;
        match kind {
            Kind::Clusters => clusters,
            Kind::Endpoints => endpoints,
            Kind::Secrets => secrets,
            Kind::Filter => filter,
        }
    }

    fn state_mut(&mut self, kind: Kind) -> &mut State {
        let [clusters, endpoints, secrets, filter] = &mut self.states;
        match kind {
            Kind::Clusters => clusters,
            Kind::Endpoints => endpoints,
            Kind::Secrets => secrets,
            Kind::Filter => filter,
        }
    }

    /// Takes note of a request. Returns how a push ended, if this ends one.
    ///
    /// # Errors
    /// The Envoy asks for too many names.
    pub fn handle(&mut self, request: Request) -> Result<Option<Answer>, TooManyNames> {
        let kind = request.kind;
        self.state_mut(kind).subscribe(&request)?;
        let Request { nonce, refusal, .. } = request;
        let Some(push) = self.state_mut(kind).take_answered(&nonce) else { return Ok(None) };
        if refusal.is_some() {
            self.state_mut(kind).refuse(push);
        } else {
            if kind == Kind::Clusters {
                self.repeat_endpoints(&push);
            }
            self.state_mut(kind).acknowledge(push);
        }
        Ok(Some(Answer { kind, refusal }))
    }

    /// A cluster that replaces another of the same name waits for endpoints, even for those that
    /// Envoy has already.
    fn repeat_endpoints(&mut self, push: &Push) {
        let replaced =
            |cluster: &&Arc<Resource>| self.state(Kind::Clusters).has().contains_key(&cluster.name);
        let replaced: Vec<_> = push.upserts.iter().filter(replaced).cloned().collect();
        for cluster in replaced {
            self.state_mut(Kind::Endpoints).repeat(&cluster.name);
        }
    }

    /// Returns what the Envoy gets now, on the way to this snapshot. Remembers it as sent.
    ///
    /// # Errors
    /// A resource cannot be encoded: a fault of this program.
    pub fn next(&mut self, target: &Snapshot) -> Result<Vec<Push>, EncodeError> {
        let has_map = self.state(Kind::Filter).holds(&target.filter);
        let endpoints = self.endpoints(target, has_map)?;
        let mut pushes = Vec::new();
        pushes.extend(self.push(Kind::Clusters, &target.clusters, has_map));
        pushes.extend(self.push(Kind::Endpoints, &endpoints, has_map));
        pushes.extend(self.push(Kind::Secrets, &target.secrets, has_map));
        if self.is_ready_for_map(target, &endpoints) {
            pushes.extend(self.push(Kind::Filter, &target.filter, has_map));
        }
        Ok(pushes)
    }

    /// Returns the endpoints of each cluster: with the map those of the target, before it those that
    /// are right with either map.
    fn endpoints(&self, target: &Snapshot, has_map: bool) -> Result<Resources, EncodeError> {
        let before;
        let wanted = if has_map {
            &target.endpoints
        } else {
            let has = self.state(Kind::Endpoints).has().iter();
            let known =
                has.filter_map(|(name, held)| Some((name.clone(), endpoints_of(&held.version)?)));
            before = endpoints_around_map(&known.collect::<Addresses>(), &target.endpoints);
            &before
        };
        let asked = self.state(Kind::Endpoints);
        let encode = |(name, endpoints): (&String, &_)| {
            // Known by its version: it need not be encoded to see that nothing is to be sent.
            let resource = match asked.has().get(name) {
                Some(held) if held.version == version_of(endpoints) && held.resource.is_some() => {
                    held.resource.clone()
                }
                _ => None,
            };
            let resource = resource.map_or_else(|| target.encode(name, endpoints), Ok)?;
            Ok((name.clone(), resource))
        };
        wanted.iter().map(encode).collect()
    }

    /// Returns whether the Envoy has everything that the map of this snapshot names.
    fn is_ready_for_map(&self, target: &Snapshot, endpoints: &Resources) -> bool {
        self.state(Kind::Clusters).holds(&target.clusters)
            && self.state(Kind::Endpoints).holds(endpoints)
            && self.state(Kind::Secrets).holds(&target.secrets)
    }

    fn push(&mut self, kind: Kind, wanted: &Resources, has_map: bool) -> Option<Push> {
        let pushes = self.pushes + 1;
        let wildcard = kind == Kind::Clusters;
        let removals = Removals { wildcard, unused: has_map, absent: self.tells_absence };
        let state = self.state_mut(kind);
        let (upserts, removed) = state.differences(wanted, removals)?;
        let push = Push { kind, nonce: pushes.to_string(), upserts, removed };
        if !state.send(&push) {
            return None;
        }
        self.pushes = pushes;
        Some(push)
    }
}
