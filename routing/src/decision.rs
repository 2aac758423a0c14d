//! Target and map → decision: the table in `docs/architecture.md` ("From request to
//! plan"), as code.

use discovery_map::{Destination, DiscoveryMap, Found, Verb};

use crate::target::{ResourceTarget, Target};

/// What the map says of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision<'m> {
    /// Where the request goes.
    pub(crate) destination: Destination<'m>,
    /// What a type-level 404 of the chosen peer means.
    pub(crate) on_not_found: OnTypeLevelNotFound,
    /// Why, for the counters.
    pub(crate) reason: Reason,
}

/// What it means when the chosen peer does not know the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTypeLevelNotFound {
    /// It is true, or a backend sent it: it passes.
    Truth,
    /// Only one server has said so: it passes if every other server in rotation
    /// says the same.
    Uncertain,
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

/// Decides by the target, and by the request's verb where peers differ in it.
pub(crate) fn decide<'m>(
    target: &Target<'_>,
    map: &'m DiscoveryMap,
    verb: impl FnOnce(&ResourceTarget<'_>) -> Option<Verb>,
) -> Decision<'m> {
    match target {
        Target::NotAnApi => Decision {
            destination: Destination::Default,
            on_not_found: OnTypeLevelNotFound::Truth,
            reason: Reason::NotAnApi,
        },
        Target::Discovery => Decision::document(map.widest_view()),
        Target::OpenApiV2 => Decision::document(map.open_api_v2().unwrap_or(map.widest_view())),
        Target::OpenApiV3 { document, group_version } => {
            let destination = map.open_api_v3(document).or(match group_version {
                Some((group, version)) => map.group_version(group, version),
                None => Some(map.widest_view()),
            });
            Decision::document_if_known(destination, map)
        }
        Target::Group(group) => Decision::document_if_known(map.group(group), map),
        Target::GroupVersion { group, version } => {
            Decision::document_if_known(map.group_version(group, version), map)
        }
        Target::Resource(t) => match find(t, map, verb) {
            Some(found) if t.is_for_another() => Decision {
                on_not_found: OnTypeLevelNotFound::Truth,
                ..Decision::known(found.destination)
            },
            // Same name, other scope: treat as unknown, since the CRD may just
            // have changed scope.
            Some(found) if t.scope().is_some_and(|scope| scope != found.scope) => {
                let unknown = Decision::unknown(map);
                let known = Decision::known(found.destination);
                let everywhere = found.destination == Destination::Default;
                let destination = if everywhere { unknown.destination } else { known.destination };
                Decision { destination, on_not_found: unknown.on_not_found, ..known }
            }
            Some(found) => Decision::known(found.destination),
            // A backend may have executed the request.
            None if t.is_proxied() => {
                let (destination, on_not_found) =
                    (Destination::Default, OnTypeLevelNotFound::Truth);
                Decision { destination, on_not_found, ..Decision::unknown(map) }
            }
            None => Decision::unknown(map),
        },
    }
}

fn find<'m>(
    target: &ResourceTarget<'_>,
    map: &'m DiscoveryMap,
    verb: impl FnOnce(&ResourceTarget<'_>) -> Option<Verb>,
) -> Option<Found<'m>> {
    let ResourceTarget { group, version, resource, subresource, .. } = *target;
    let found = map.resource(group, version, resource, subresource)?;
    Some(map.narrowed(found, || verb(target)))
}

impl<'m> Decision<'m> {
    fn known(destination: Destination<'m>) -> Self {
        let reason = match destination {
            Destination::Default => Reason::Common,
            Destination::Cluster(_) => Reason::Skewed,
            Destination::Unavailable => Reason::Unavailable,
        };
        Self { destination, on_not_found: OnTypeLevelNotFound::Uncertain, reason }
    }

    /// A discovery document that is answered there.
    pub(crate) fn document(destination: Destination<'m>) -> Self {
        match Self::known(destination) {
            unavailable if unavailable.reason == Reason::Unavailable => unavailable,
            reachable => Self { reason: Reason::Discovery, ..reachable },
        }
    }

    fn document_if_known(destination: Option<Destination<'m>>, map: &'m DiscoveryMap) -> Self {
        destination.map_or_else(|| Self::unknown(map), Self::document)
    }

    fn unknown(map: &'m DiscoveryMap) -> Self {
        let (on_not_found, reason) = if !map.complete {
            (OnTypeLevelNotFound::Uncertain, Reason::Undetermined)
        } else if map.rotation.is_empty() {
            // An earlier companion made this map, whose clusters ask no other server.
            (OnTypeLevelNotFound::Truth, Reason::Unknown)
        } else {
            (OnTypeLevelNotFound::Uncertain, Reason::Unknown)
        };
        Self { destination: map.every_peer(), on_not_found, reason }
    }
}

#[cfg(test)]
mod tests;
