//! When an Envoy gets listeners, and when what they no longer name may go.

use super::Session;
use super::admission::chains;
use super::exchange::Outcome;
use super::lane::{Around, Lane, Target};
use super::names::{self, SHARED};
use super::state::{Change, Held, Scope};
use crate::ads::kind::Kind;
use crate::ads::resource::Resource;
use crate::xds::CONNECTIONS;

impl Session {
    /// Takes note that the Envoy refuses the listeners that it was sent.
    pub(super) fn refuse_listeners(&mut self, reason: String) -> Outcome {
        let new = self.new_chains();
        let state = self.lane(SHARED).state_mut(Kind::Listeners);
        if new.is_empty() {
            state.refuse();
            return Outcome::Refused { part: SHARED.to_owned(), reason };
        }
        state.withdraw();
        match self.admission.refused(&new) {
            Some(part) => Outcome::Refused { part, reason },
            None => Outcome::Divided,
        }
    }

    /// Returns the chains that were sent and that the Envoy does not have, with their versions.
    fn new_chains(&self) -> Vec<(String, String)> {
        let Some(lane) = self.lanes.get(SHARED) else { return Vec::new() };
        let state = lane.state(Kind::Listeners);
        let is_new = |sent: &Resource, prefix: &String, version: &String| {
            let held = state.has().get(&sent.name);
            let listener = held.and_then(|held| held.resource.as_ref()?.listener.as_ref());
            match (held, listener) {
                (None, _) => true,
                // From an earlier stream. What it asks for tells which chains it has.
                (Some(_), None) => !self.asks_for_filter(prefix),
                (Some(_), Some(listener)) => {
                    let earlier = listener.chains.get(prefix);
                    earlier.is_none_or(|chain| chain.chain.version != *version)
                }
            }
        };
        let of_one = |sent| {
            let chains = chains([sent].into_iter());
            let new = chains.filter(move |(prefix, version)| is_new(sent, prefix, version));
            new.map(|(prefix, version)| (prefix.clone(), version.clone()))
        };
        state.sent().iter().flat_map(of_one).collect()
    }

    fn asks_for_filter(&self, prefix: &str) -> bool {
        let asks = |lane: &str| {
            let lane = self.lanes.get(lane);
            lane.is_some_and(|lane| !lane.state(Kind::Filter).names().is_empty())
        };
        asks(prefix) || asks(&format!("{prefix}{CONNECTIONS}"))
    }

    /// Makes the listeners for an Envoy that refuses some chains.
    pub(super) fn admit(&mut self) {
        let Some(listeners) = self.target.listeners.as_ref().map(|listeners| &listeners.all) else {
            return;
        };
        let Some(state) = self.lanes.get(SHARED).map(|lane| lane.state(Kind::Listeners)) else {
            return;
        };
        let admission = &mut self.admission;
        while !admission.is_complete() {
            let has_all = state.holds(admission.make(listeners, state.has()));
            if !has_all || !admission.go_on() {
                return;
            }
        }
    }

    /// Returns whether the Envoy does not get all filter chains, because it refused some.
    pub fn leaves_out(&self) -> bool {
        !self.admission.is_complete()
    }

    /// Sends the filter chains again that the Envoy refused: it may have their certificates now.
    pub fn retry(&mut self) {
        self.admission.retry();
    }

    /// Returns the listeners that the Envoy gets now.
    pub(super) fn change_of_listeners(&self, around: Around) -> Option<Change> {
        let wanted = &self.target.listeners.as_ref()?.all;
        let wanted = self.admission.made().unwrap_or(wanted);
        let all = *around.all.get(Kind::Listeners);
        let scope = Scope { all, unused: true, named: true, absent: around.absent };
        let change = self.lanes.get(SHARED)?.state(Kind::Listeners).change(wanted, scope)?;
        let is_named = |prefix: &str| wanted.values().any(|listener| names(listener, prefix));
        let is_ready = |(prefix, lane): (&String, &Lane)| match lane.target {
            // The companion has just started: nobody loses a filter chain by that.
            Target::Awaited => lane.state(Kind::Clusters).has().is_empty() || is_named(prefix),
            Target::Part(_) => lane.may_be_named() || !is_named(prefix),
            Target::Connections(_) | Target::Gone => true,
        };
        self.lanes.iter().all(is_ready).then_some(change)
    }

    /// Returns whether no listener and no map names what is left of a control plane.
    pub(super) fn may_go(&self, lane: &str) -> bool {
        let prefix = names::prefix(lane);
        let listeners = self.lanes.get(SHARED).map(|lane| lane.state(Kind::Listeners));
        let Some(listeners) = listeners else { return false };
        let without = |(name, held): (&String, &Held)| {
            let is_latest = |latest: &&Resource| latest.version == held.version;
            let latest = self.target.listeners.as_ref().and_then(|latest| latest.all.get(name));
            let known = held.resource.as_deref().or(latest.map(|one| &**one).filter(is_latest));
            known.is_some_and(|listener| !names(listener, prefix))
        };
        let mut alone = self.lanes.values().filter_map(|lane| match &lane.target {
            Target::Part(part) if part.is_alone() => lane.has_map(),
            _ => None,
        });
        match self.target.listeners {
            Some(_) => {
                let asked = self.channels.get(Kind::Listeners).asked;
                asked && listeners.is_certain() && listeners.has().iter().all(without)
            }
            // Listeners that Envoy has of its own have the filter of the only control plane.
            None => listeners.has().is_empty() && alone.next() == Some(true),
        }
    }
}

fn names(listener: &Resource, prefix: &str) -> bool {
    listener.listener.as_ref().is_some_and(|listener| listener.chains.contains_key(prefix))
}
