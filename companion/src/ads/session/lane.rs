//! What one Envoy has of one control plane, and what it gets of it next. It knows no other.
//!
//! The order is that of `publish/plan.rs`, by acknowledgment:
//!
//! 1. the endpoints that leave, the clusters that are new or changed, and the authorities that they
//!    name;
//! 2. when the Envoy has acknowledged all of these: the filter with the map;
//! 3. when it has acknowledged that: the endpoints that join, and the removal of clusters.
//!
//! What is left of a control plane that does not exist any more goes at once, when no listener names
//! it.

use std::borrow::Cow;
use std::sync::Arc;

use super::state::{Change, Scope, State};
use crate::ads::kind::{ByKind, Kind};
use crate::ads::resource::{Resource, endpoints_of, version_of};
use crate::ads::snapshot::{Part, Resources};
use crate::endpoints::Addresses;
use crate::publish::endpoints_around_map;
use crate::xds::EncodeError;

/// The state that the session brings the Envoy to.
#[derive(Debug, Default)]
pub(super) enum Target {
    Part(Arc<Part>),
    /// What a filter chain asks for. It waits for nothing.
    Connections(Arc<Resource>),
    /// The control plane has no map yet: Envoy keeps everything.
    Awaited,
    /// The control plane does not exist.
    #[default]
    Gone,
}

/// Returns whether both are the same snapshot's.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Part(one), Self::Part(other)) => Arc::ptr_eq(one, other),
            (Self::Connections(one), Self::Connections(other)) => Arc::ptr_eq(one, other),
            (Self::Awaited, Self::Awaited) | (Self::Gone, Self::Gone) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub target: Target,
    states: ByKind<State>,
}

/// What a lane must know of the stream and of the other lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The types of which the Envoy asks for all resources.
    pub all: ByKind<bool>,
    /// The Envoy can be told that what it asks for does not exist.
    pub absent: bool,
    /// No listener and no map names what is left of a control plane that is gone.
    pub may_go: bool,
}

impl Lane {
    pub fn state(&self, kind: Kind) -> &State {
        self.states.get(kind)
    }

    pub fn state_mut(&mut self, kind: Kind) -> &mut State {
        self.states.get_mut(kind)
    }

    /// Returns whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        matches!(self.target, Target::Gone)
            && Kind::ALL.into_iter().all(|kind| self.state(kind).is_empty())
    }

    /// Returns whether the Envoy has the map that it shall have. `None` if it shall have none.
    pub fn has_map(&self) -> Option<bool> {
        match &self.target {
            Target::Part(part) => Some(self.state(Kind::Filter).holds(&part.filter)),
            Target::Connections(_) | Target::Awaited | Target::Gone => None,
        }
    }

    /// Returns whether a listener may name it: the Envoy has its clusters in some version, or has
    /// refused them.
    pub fn may_be_named(&self) -> bool {
        let clusters = self.state(Kind::Clusters);
        match &self.target {
            Target::Part(part) => {
                clusters.is_refused()
                    || part.clusters.keys().all(|name| clusters.has().contains_key(name))
            }
            Target::Connections(_) | Target::Awaited | Target::Gone => true,
        }
    }

    /// Remembers what is sent.
    ///
    /// A cluster that replaces another of the same name waits for endpoints, even for those that
    /// Envoy has already. It waits as long before it acknowledges, so they are sent with it.
    pub fn send(&mut self, kind: Kind, change: Change, generation: u64) {
        let clusters = if kind == Kind::Clusters { change.upserts.as_slice() } else { &[] };
        for cluster in clusters {
            if self.state(Kind::Clusters).has().contains_key(&cluster.name) {
                self.state_mut(Kind::Endpoints).repeat(&cluster.name);
            }
        }
        self.state_mut(kind).send(change, generation);
    }

    /// Returns what the Envoy gets of a type now.
    pub fn change(&self, kind: Kind, around: Around) -> Result<Option<Change>, EncodeError> {
        // Before an answer, `State::change` returns nothing: what is wanted need not be known.
        if self.state(kind).is_unanswered() {
            return Ok(None);
        }
        let (wanted, unused) = match &self.target {
            Target::Awaited => return Ok(None),
            Target::Gone => (Cow::Owned(Resources::new()), around.may_go),
            Target::Connections(one) if kind == Kind::Filter => {
                let wanted = Resources::from([(one.name.clone(), Arc::clone(one))]);
                (Cow::Owned(wanted), false)
            }
            Target::Connections(_) => return Ok(None),
            Target::Part(part) => {
                let has_map = self.has_map() == Some(true);
                match self.wanted(kind, part, has_map, around)? {
                    Some(wanted) => (wanted, has_map),
                    None => return Ok(None),
                }
            }
        };
        let (all, absent) = (*around.all.get(kind), around.absent);
        let scope = Scope { all, unused, named: kind == Kind::Filter, absent };
        Ok(self.state(kind).change(&wanted, scope))
    }

    /// Returns which resources of a type the Envoy shall have now. `None` if it is to wait.
    fn wanted<'p>(
        &self,
        kind: Kind,
        part: &'p Part,
        has_map: bool,
        around: Around,
    ) -> Result<Option<Cow<'p, Resources>>, EncodeError> {
        Ok(match kind {
            Kind::Clusters => Some(Cow::Borrowed(&part.clusters)),
            Kind::Endpoints => Some(Cow::Owned(self.endpoints(part, has_map)?)),
            Kind::Secrets => Some(Cow::Borrowed(&part.secrets)),
            // With the map, there is nothing to be ready for, and removals are told.
            Kind::Filter if has_map || self.is_ready_for_map(part, around)? => {
                Some(Cow::Borrowed(&part.filter))
            }
            Kind::Filter | Kind::Listeners => None,
        })
    }

    /// Returns the endpoints of each cluster: with the map those of the target, before it those that
    /// are right with either map.
    fn endpoints(&self, part: &Part, has_map: bool) -> Result<Resources, EncodeError> {
        let state = self.state(Kind::Endpoints);
        let before;
        let wanted = if has_map {
            &part.endpoints
        } else {
            let has = state.has().iter();
            let known =
                has.filter_map(|(name, held)| Some((name.clone(), endpoints_of(&held.version)?)));
            before = endpoints_around_map(&known.collect::<Addresses>(), &part.endpoints);
            &before
        };
        let encode = |(name, endpoints): (&String, &_)| {
            // Known by its version: it need not be encoded to see that nothing is to be sent.
            let resource: Option<Arc<Resource>> = match state.has().get(name) {
                Some(held) if held.version == version_of(endpoints) => held.resource.clone(),
                _ => None,
            };
            let resource = resource.map_or_else(|| part.encode(name, endpoints), Ok)?;
            Ok((name.clone(), resource))
        };
        wanted.iter().map(encode).collect()
    }

    /// Returns whether an Envoy without the map of this part has everything that the map names.
    /// Authorities that only a listener names need not be there.
    fn is_ready_for_map(&self, part: &Part, around: Around) -> Result<bool, EncodeError> {
        let all_secrets = *around.all.get(Kind::Secrets);
        // The endpoints come last: they must be computed.
        Ok(self.state(Kind::Clusters).holds(&part.clusters)
            && self.state(Kind::Secrets).holds_asked(&part.secrets, all_secrets)
            && self.state(Kind::Endpoints).holds(&self.endpoints(part, false)?))
    }
}
