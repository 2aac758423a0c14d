//! What a mode leaves of a plan, and what it withholds.
//!
//! ```text
//!  plan ── Plan ── in_mode ──┬── the plan as it is carried out
//!                            └── the change to the request that is withheld
//! ```
//!
//! What is withheld of the response is known when it comes: the interest of the plan
//! says what to look for. The client's identity does not depend on the mode.

use discovery_map::{Destination, DiscoveryMap, Mode};

use crate::decision::Reason;
use crate::interest::{NotFoundChange, ObservedNotFound, ResponseInterest};
use crate::plan::{Plan, twin_of};
use crate::target::Target;

/// A change to a request that the mode withholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestChange {
    /// The request would have gone to servers that were chosen for it.
    Rerouted,
    /// The answer would have been a merged document, if the client may read it.
    Merged,
    /// The answer would have been 503 at once: no server in rotation serves the target.
    Refused,
}

impl RequestChange {
    /// Every change.
    pub const ALL: [Self; 3] = [Self::Rerouted, Self::Merged, Self::Refused];

    /// Returns the label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rerouted => "rerouted",
            Self::Merged => "merged",
            Self::Refused => "refused",
        }
    }
}

impl<'a> Plan<'a> {
    /// Returns the plan as it is carried out in a mode, and what the mode withholds of it. `map` is
    /// the map that the plan was made with; its own mode does not matter.
    #[must_use]
    pub fn in_mode(self, mode: Mode, map: &'a DiscoveryMap) -> (Self, Option<RequestChange>) {
        match mode {
            Mode::Enforce => (self, None),
            Mode::Reroute => self.without_refusals(map),
            Mode::Shadow => {
                let withheld = self.request_change(map);
                (self.without_changes(map), withheld)
            }
        }
    }

    /// Returns the plan under which every 404 passes at last. If no server in rotation serves the
    /// target, all of them are asked.
    fn without_refusals(mut self, map: &'a DiscoveryMap) -> (Self, Option<RequestChange>) {
        let is_refused = self.destination == Destination::Unavailable;
        if is_refused {
            let not_found = self.interest.not_found();
            self = self.to(self.everywhere(map), map);
            self.interest = not_found.map_or(self.interest, ResponseInterest::NotFound);
        }
        self.interest = self.interest.passing();
        (self, is_refused.then_some(RequestChange::Refused))
    }

    /// Returns the plan of a request that the filter leaves alone.
    fn without_changes(self, map: &'a DiscoveryMap) -> Self {
        let interest = match (self.not_found_change(map), self.interest.not_found()) {
            (Some(change), Some(not_found)) => {
                let may_be_empty = not_found.may_be_empty;
                ResponseInterest::Observed(ObservedNotFound { change, may_be_empty })
            }
            _ => ResponseInterest::Nothing,
        };
        Self { interest, ..self.to(Destination::Default, map) }
    }

    /// Returns where every server is asked, as far as the version of a component lets it.
    fn everywhere(&self, map: &'a DiscoveryMap) -> Destination<'a> {
        let every_peer = map.every_peer();
        let new_enough = self.component.and_then(|own| map.at_least(every_peer, own.version));
        new_enough.unwrap_or(every_peer)
    }

    /// Returns the plan for a server's own answer from there.
    fn to(self, destination: Destination<'a>, map: &'a DiscoveryMap) -> Self {
        let twin_of = twin_of(destination, self.has_certificate, map);
        Self { destination, twin_of, access_check: None, ..self }
    }

    fn request_change(&self, map: &DiscoveryMap) -> Option<RequestChange> {
        match self.destination {
            Destination::Unavailable => Some(RequestChange::Refused),
            _ if self.access_check.is_some() => Some(RequestChange::Merged),
            // Where requests for unknown types begin, each server can answer them.
            own if own == map.every_peer() => None,
            Destination::Cluster(_) => Some(RequestChange::Rerouted),
            Destination::Default => None,
        }
    }

    /// Returns what would have become of a type-level 404; `None` if it would have passed.
    fn not_found_change(&self, map: &DiscoveryMap) -> Option<NotFoundChange> {
        match self.reason {
            Reason::Unavailable | Reason::Undetermined => Some(NotFoundChange::Replaced),
            Reason::Unknown => map.just_left.then_some(NotFoundChange::Replaced),
            // The only server is the one that said so.
            _ if map.rotation.len() < 2 => None,
            Reason::NotAnApi | Reason::Discovery | Reason::Common | Reason::Skewed => {
                self.is_in_scope(map).then_some(NotFoundChange::Prevented)
            }
        }
    }

    /// Returns whether the map has a resource in the scope that the path asks for. In another scope,
    /// every server answers with a type-level 404.
    fn is_in_scope(&self, map: &DiscoveryMap) -> bool {
        let Target::Resource(target) = self.target else { return true };
        let Some(scope) = target.scope() else { return true };
        let found = map.resource(target.group, target.version, target.resource, target.subresource);
        found.is_some_and(|found| found.scope == scope)
    }
}

#[cfg(test)]
mod tests;
