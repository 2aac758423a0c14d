//! Target and map → decision: the decision table of the design, as code.

use discovery_map::{Destination, DiscoveryMap};

use crate::target::Target;

/// What to do with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'m> {
    /// Where the request goes.
    pub destination: Destination<'m>,
    /// What a type-level 404 of the chosen peer means.
    pub on_not_found: OnTypeLevelNotFound,
    /// Why, for the counters.
    pub reason: Reason,
}

/// What it means when the chosen peer says that it does not know the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTypeLevelNotFound {
    /// The truth, as far as the map knows: it passes.
    Truth,
    /// It contradicts the map, or the map cannot tell: 503 instead.
    Uncertain,
    /// The truth as far as the map knows. Whether it still is, the companion
    /// is asked first.
    AskFirst,
}

/// Why a decision was made; a closed set, for it labels a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not an API path.
    NotAnApi,
    /// A discovery document.
    Discovery,
    /// Every serving peer serves the target.
    Common,
    /// Only some serving peers serve the target.
    Skewed,
    /// Only peers out of rotation serve the target.
    Unavailable,
    /// No peer serves the target.
    Unknown,
    /// No peer is known to serve the target, and not every peer is known.
    Undetermined,
}

impl Reason {
    /// Every reason, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::NotAnApi,
        Self::Discovery,
        Self::Common,
        Self::Skewed,
        Self::Unavailable,
        Self::Unknown,
        Self::Undetermined,
    ];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnApi => "not_an_api",
            Self::Discovery => "discovery",
            Self::Common => "common",
            Self::Skewed => "skewed",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Undetermined => "undetermined",
        }
    }
}

/// Decides one request.
#[must_use]
pub fn decide<'m>(target: &Target<'_>, map: &'m DiscoveryMap) -> Decision<'m> {
    match target {
        Target::NotAnApi => Decision::pass(Reason::NotAnApi),
        Target::Discovery => Decision::document(Some(map.widest_view()), map),
        Target::OpenApiV2 => {
            let route = map.open_api_v2().unwrap_or(map.widest_view());
            Decision::document(Some(route), map)
        }
        Target::OpenApiV3 { document, group_version } => {
            let route = map.open_api_v3(document).or(match group_version {
                Some((group, version)) => map.group_version(group, version),
                None => Some(map.widest_view()),
            });
            Decision::document(route, map)
        }
        Target::Group(group) => Decision::document(map.group(group), map),
        Target::GroupVersion { group, version } => {
            Decision::document(map.group_version(group, version), map)
        }
        Target::Resource(t) => match map.resource(t.group, t.version, t.resource, t.subresource) {
            Some(found) if t.is_for_another() => Decision {
                on_not_found: OnTypeLevelNotFound::Truth,
                ..Decision::known(found.destination)
            },
            // The type of this path is not known: that of the same name has
            // another scope, and may have had this one a moment ago.
            Some(found) if t.scope().is_some_and(|scope| scope != found.scope) => Decision {
                on_not_found: Decision::unknown(map).on_not_found,
                ..Decision::known(found.destination)
            },
            Some(found) => Decision::known(found.destination),
            None => Decision::unknown(map),
        },
    }
}

impl<'m> Decision<'m> {
    /// To every serving peer; its answer is the answer.
    fn pass(reason: Reason) -> Self {
        Self { destination: Destination::Default, on_not_found: OnTypeLevelNotFound::Truth, reason }
    }

    fn known(destination: Destination<'m>) -> Self {
        let reason = match destination {
            Destination::Default => Reason::Common,
            Destination::Cluster(_) => Reason::Skewed,
            Destination::Unavailable => Reason::Unavailable,
        };
        Self { destination, on_not_found: OnTypeLevelNotFound::Uncertain, reason }
    }

    fn document(destination: Option<Destination<'m>>, map: &DiscoveryMap) -> Self {
        match destination.map(Self::known) {
            Some(unavailable) if unavailable.reason == Reason::Unavailable => unavailable,
            Some(reachable) => Self { reason: Reason::Discovery, ..reachable },
            None => Self::unknown(map),
        }
    }

    fn unknown(map: &DiscoveryMap) -> Self {
        if !map.is_complete() {
            Self {
                on_not_found: OnTypeLevelNotFound::Uncertain,
                ..Self::pass(Reason::Undetermined)
            }
        } else if map.strict_not_found().is_some() {
            Self { on_not_found: OnTypeLevelNotFound::AskFirst, ..Self::pass(Reason::Unknown) }
        } else {
            Self::pass(Reason::Unknown)
        }
    }
}

#[cfg(test)]
mod tests;
