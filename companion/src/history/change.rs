//! One change, and how it is told.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;

use api_discovery::MinorVersion;
use discovery_map::PeerState;
use serde::Serialize;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// The source has a peer that it did not have.
    PeerJoined {
        /// Its name.
        peer: String,
        /// Its address.
        address: SocketAddr,
    },
    /// The source does not have a peer any more.
    PeerLeft {
        /// Its name.
        peer: String,
        /// Its address.
        address: SocketAddr,
    },
    /// A peer began or stopped to serve.
    PeerState {
        /// Its name.
        peer: String,
        /// The state before.
        from: PeerState,
        /// The state now.
        to: PeerState,
        /// What went wrong, if it does not serve.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A peer runs another version.
    PeerVersion {
        /// Its name.
        peer: String,
        /// The `gitVersion` before, if it was known.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Arc<str>>,
        /// The `gitVersion` now.
        to: Arc<str>,
    },
    /// Another version answers what every peer in rotation can answer.
    AnsweringVersion {
        /// The version before; `None` if all versions answered.
        from: Option<MinorVersion>,
        /// The version now; `None` if all versions answer.
        to: Option<MinorVersion>,
    },
    /// Types came, went, or are served by other peers.
    Types {
        /// Who served them.
        from: Availability,
        /// Who serves them now.
        to: Availability,
        /// How many they are, subresources included.
        count: usize,
        /// The first of them, as `group/version/resource`.
        types: Vec<String>,
        /// Who serves them, or is the last known to have served them, unless all peers do.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        peers: Vec<String>,
    },
    /// A map was published.
    MapPublished {
        /// Its generation.
        generation: u64,
        /// Whether every peer's types are known.
        complete: bool,
        /// How many types only some peers serve.
        skewed_types: usize,
    },
    /// Nothing can be published.
    PublishFailed {
        /// Why.
        reason: String,
    },
    /// Envoys refused what they got over ADS, and keep what they had.
    Refused {
        /// The type of the resources: `filter` is the map.
        resources: &'static str,
        /// Why, in Envoy's words.
        reason: String,
        /// How many Envoys refused it.
        count: usize,
        /// The identifiers of the first of them.
        envoys: Vec<String>,
    },
}

/// Which peers in rotation serve a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Availability {
    /// No peer is known to serve it.
    Unknown,
    /// Every peer in rotation.
    Everywhere,
    /// Some peers in rotation, and others not: the type is skewed.
    Partly,
    /// No peer in rotation, but one that is remembered: the type is orphaned.
    Nowhere,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerJoined { peer, address } => write!(f, "peer {peer} joined ({address})"),
            Self::PeerLeft { peer, address } => {
                write!(f, "peer {peer} left its source ({address})")
            }
            Self::PeerState { peer, from, to, reason } => {
                let (from, to) = (state(*from), state(*to));
                write!(f, "peer {peer} is {to}, was {from}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::PeerVersion { peer, from: None, to } => write!(f, "peer {peer} runs {to}"),
            Self::PeerVersion { peer, from: Some(from), to } => {
                write!(f, "peer {peer} runs {to}, ran {from}")
            }
            Self::AnsweringVersion { from, to } => {
                let version = |version: &Option<MinorVersion>| {
                    version.map_or("any".to_owned(), |version| version.to_string())
                };
                write!(f, "answering version is {}, was {}", version(to), version(from))
            }
            Self::Types { from, to, count, types, peers } => {
                let these = Named { noun: "type", count: *count, names: types };
                fmt_types(f, (*from, *to), &these, peers)
            }
            Self::MapPublished { generation, complete, skewed_types } => {
                write!(f, "map {generation} published: {skewed_types} skewed types")?;
                f.write_str(if *complete { "" } else { ", not complete" })
            }
            Self::PublishFailed { reason } => write!(f, "cannot publish: {reason}"),
            Self::Refused { resources, reason, count, envoys } => {
                let envoys = Named { noun: "Envoy", count: *count, names: envoys };
                write!(f, "{resources} refused by {envoys}: {reason}")
            }
        }
    }
}

fn fmt_types(
    f: &mut fmt::Formatter<'_>,
    (from, to): (Availability, Availability),
    types: &Named<'_>,
    peers: &[String],
) -> fmt::Result {
    let peers = peers.join(", ");
    match (from, to) {
        (_, Availability::Unknown) => write!(f, "{types} removed"),
        (Availability::Unknown, Availability::Everywhere) => {
            write!(f, "{types} added: every peer in rotation serves them")
        }
        (Availability::Unknown, Availability::Partly) => {
            write!(f, "{types} added: served by {peers} only")
        }
        (_, Availability::Everywhere) => write!(f, "{types} served by every peer in rotation"),
        (_, Availability::Partly) => write!(f, "{types} served by {peers} only"),
        (_, Availability::Nowhere) => {
            write!(f, "{types} orphaned: no peer in rotation serves them; last served by {peers}")
        }
    }
}

/// Returns the word for a state, as other endpoints and metrics have it.
pub fn state(state: PeerState) -> &'static str {
    match state {
        PeerState::Serving => "serving",
        PeerState::NotReady => "not ready",
        PeerState::Unreachable => "unreachable",
    }
}

/// A number of things, and the names of the first of them.
struct Named<'n> {
    noun: &'static str,
    count: usize,
    names: &'n [String],
}

impl Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noun, count, names } = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {noun}{plural} ({}", names.join(", "))?;
        let more = count.saturating_sub(names.len());
        if more > 0 { write!(f, " and {more} more)") } else { f.write_str(")") }
    }
}
