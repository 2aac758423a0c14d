//! When an Envoy gets listeners, and when what they no longer name may go.

use std::collections::BTreeMap;

use super::Session;
use super::admission::{Has, Refused};
use super::exchange::Outcome;
use super::lane::{Around, Lane, Target};
use super::names::{self, SHARED};
use super::state::{Change, Held, Scope};
use crate::ads::kind::Kind;
use crate::ads::resource::{Chain, Resource};
use crate::ads::snapshot::Resources;
use crate::xds::CONNECTIONS;

impl Session {
    /// Takes note that the Envoy refuses the listeners that it was sent.
    pub(super) fn refuse_listeners(&mut self, reason: String) -> Outcome {
        let refused = self.refused_listener();
        self.lane(SHARED).state_mut(Kind::Listeners).withdraw();
        match refused.and_then(|refused| self.admission.refused(refused)) {
            Some(part) => Outcome::Refused { part, reason },
            None => Outcome::Divided,
        }
    }

    /// Returns what is new in the listener that was sent; the template gives one only. `None` if it
    /// was replaced meanwhile, so that it says nothing of the next one.
    fn refused_listener(&self) -> Option<Refused> {
        let state = self.lanes.get(SHARED)?.state(Kind::Listeners);
        let sent = state.sent().first().and_then(|sent| sent.listener.as_ref());
        let Some(sent) = sent else { return Some(Refused::default()) };
        let latest = self.target.listeners.as_ref()?.all.get(&sent.name)?.listener.as_ref()?;
        let held = state.has().get(&sent.name);
        let earlier = held.map(|held| held.resource.as_ref()?.listener.as_ref());
        let is_new = |(prefix, chain): &(&String, &Chain)| match earlier {
            None => true,
            // What it asks for tells which chains it has.
            Some(None) => !self.asks_for_filter(prefix),
            Some(Some(earlier)) => !is_same(earlier.chains.get(*prefix), chain),
        };
        let new: BTreeMap<_, _> = sent.chains.iter().filter(is_new).collect();
        let is_latest = |(prefix, chain): (&String, &Chain)| {
            let is_known = matches!(earlier, Some(Some(_))) && !new.contains_key(prefix);
            is_known || is_same(latest.chains.get(prefix), chain)
        };
        if latest.base.version != sent.base.version && !self.admission.keeps(&sent.name)
            || !sent.chains.iter().all(is_latest)
        {
            return None;
        }
        let has = match earlier {
            Some(None) if new.len() < sent.chains.len() => Has::Unknown,
            None | Some(None) => Has::Nothing,
            Some(Some(earlier)) if earlier.base.version == sent.base.version => Has::Same,
            // Without an earlier chain there is nothing to send it with.
            Some(Some(earlier))
                if sent.chains.keys().any(|one| earlier.chains.contains_key(one)) =>
            {
                Has::Other
            }
            Some(Some(_)) => Has::Nothing,
        };
        let new = new.into_iter();
        let new = new.map(|(prefix, one)| (prefix.clone(), one.chain.version.clone())).collect();
        let base = Some((sent.name.clone(), sent.base.version.clone()));
        Some(Refused { has, base, new, wanted: latest.chains.len() })
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
        while !admission.is_complete() && !admission.is_held() {
            let has_all = state.holds(admission.make(listeners, state.has()));
            if !has_all || !admission.go_on() {
                return;
            }
        }
    }

    /// Returns whether the Envoy does not get the listeners as they are, because it refused them.
    pub fn leaves_out(&self) -> bool {
        !self.admission.is_complete()
    }

    /// Sends again what the Envoy refused: it may have the certificates now.
    pub fn retry(&mut self) {
        self.admission.retry();
    }

    /// Returns the listeners that the Envoy gets now.
    pub(super) fn change_of_listeners(&self, around: Around) -> Option<Change> {
        let wanted = &self.target.listeners.as_ref()?.all;
        let state = self.lanes.get(SHARED)?.state(Kind::Listeners);
        let (wanted, change) = if self.admission.is_held() {
            (wanted, state.removal(|held| self.has_chain_of(held, wanted))?)
        } else {
            let wanted = self.admission.made().unwrap_or(wanted);
            let all = *around.all.get(Kind::Listeners);
            let scope = Scope { all, unused: true, named: true, absent: around.absent };
            (wanted, state.change(wanted, scope)?)
        };
        let is_named = |prefix: &str| wanted.values().any(|listener| names(listener, prefix));
        let is_ready = |(prefix, lane): (&String, &Lane)| match lane.target {
            // The companion has just started: nobody loses a filter chain by that.
            Target::Awaited => lane.state(Kind::Clusters).has().is_empty() || is_named(prefix),
            Target::Part(_) => lane.may_be_named() || !is_named(prefix),
            Target::Connections(_) | Target::Gone => true,
        };
        self.lanes.iter().all(is_ready).then_some(change)
    }

    /// Returns whether a listener that the Envoy has has a chain that it shall have, in any form.
    fn has_chain_of(&self, held: &Held, wanted: &Resources) -> bool {
        let listener = held.resource.as_ref().and_then(|one| one.listener.as_ref());
        let has = |prefix: &String| match listener {
            Some(listener) => listener.chains.contains_key(prefix),
            None => self.asks_for_filter(prefix),
        };
        let wanted = wanted.values().filter_map(|one| one.listener.as_ref());
        wanted.flat_map(|one| one.chains.keys()).any(has)
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

fn is_same(one: Option<&Chain>, other: &Chain) -> bool {
    one.is_some_and(|one| one.chain.version == other.chain.version)
}

fn names(listener: &Resource, prefix: &str) -> bool {
    listener.listener.as_ref().is_some_and(|listener| listener.chains.contains_key(prefix))
}
