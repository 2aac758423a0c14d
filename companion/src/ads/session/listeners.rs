//! When an Envoy gets listeners, and when what they no longer name may go.

use super::Session;
use super::lane::{Around, Lane, Target};
use super::names::{self, SHARED};
use super::state::{Change, Held, Scope};
use crate::ads::kind::Kind;
use crate::ads::resource::Resource;

impl Session {
    /// Returns the listeners that the Envoy gets now.
    pub(super) fn change_of_listeners(&self, around: Around) -> Option<Change> {
        let wanted = &self.target.listeners.as_ref()?.all;
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
