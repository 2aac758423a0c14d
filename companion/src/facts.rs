//! What one part of the companion tells another about a peer: plain data.
//!
//! ```text
//!  sources ──Roster──▶ poll, index
//!  poll ──Report──▶ index ──PeerStatus──▶ serve, metrics
//!                    │ ▲
//!                    └─┴─OpenApiMerge, MergedOpenApi── open_api
//! ```
//!
//! The writers and the readers of these facts depend on this file, and not on each other.

use std::net::SocketAddr;
use std::sync::Arc;

use api_discovery::{
    GroupVersion, LegacyGroupVersion, Listing, MinorVersion, OpenApiIndex, Part, ServerVersion,
};
use discovery_map::PeerState;
use serde::Serialize;

use crate::config::Peer;

/// The peers of a control plane, as their source has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Names and addresses are unique.
    pub peers: Vec<Peer>,
    /// Whether a person lists them: what a person removes is not coming back.
    pub by_hand: bool,
    /// Whether the source has these now. If not, it had them last.
    pub fresh: bool,
}

/// What one round at one peer found.
#[derive(Debug)]
pub struct Report {
    /// The peer, with the address that was used.
    pub peer: Peer,
    pub observation: Observation,
}

#[derive(Debug)]
pub enum Observation {
    /// The peer is ready.
    Serving {
        /// What each half of discovery said.
        readings: [(Part, Reading<Listing>); 2],
        /// The version, if it was read in this round.
        version: Option<ServerVersion>,
        /// The index of OpenAPI v3.
        open_api: Reading<OpenApiIndex>,
    },
    /// The peer sent older documents of group-versions, for the storage versions in them.
    StorageVersions(Vec<(GroupVersion, LegacyGroupVersion)>),
    /// The peer answers, but not that it is ready.
    NotReady { reason: String },
    /// The peer cannot be reached. `refused`: its host says that nobody listens there, so that
    /// nobody else reaches it either.
    Unreachable { reason: String, refused: bool },
    /// The round does not tell: the peer's state stays.
    Inconclusive { reason: String },
}

impl Observation {
    /// Returns the state in which the round found the peer, if the round tells.
    pub fn state(&self) -> Option<PeerState> {
        match self {
            Self::Serving { .. } => Some(PeerState::Serving),
            Self::NotReady { .. } => Some(PeerState::NotReady),
            Self::Unreachable { .. } => Some(PeerState::Unreachable),
            Self::StorageVersions(_) | Self::Inconclusive { .. } => None,
        }
    }
}

/// What a round read of a document.
#[derive(Debug)]
pub enum Reading<T> {
    /// Nothing: the document did not change, the peer has none, or it was not
    /// requested in this round.
    Unchanged,
    /// The document.
    Read(T),
    /// The document could not be read, for this reason. What was known stays.
    Failed(String),
}

/// Documents of OpenAPI v3 that are to be merged into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApiMerge {
    /// The path below `/openapi/v3/`.
    pub path: Box<str>,
    /// The documents, the one whose word counts most first.
    pub documents: Vec<OpenApiDocument>,
}

/// A document of OpenAPI v3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApiDocument {
    /// Its hash, which is its `ETag`.
    pub hash: Box<str>,
    /// The peers in rotation that have it; none if those are away.
    pub peers: Vec<Peer>,
}

/// A peer as the endpoint shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    pub name: String,
    pub address: SocketAddr,
    /// What was last seen of it.
    pub state: PeerState,
    /// Whether its source does not have it any more.
    pub left: bool,
    /// Whether it has been out of rotation for so long that its types no longer count.
    pub forgotten: bool,
    /// Its `gitVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The minor version whose API it serves: the emulated one, else that of its binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_version: Option<MinorVersion>,
    /// Whether requests that every peer in rotation can answer go to it.
    pub answering: bool,
    /// Whether its discovery was read, now or before a restart.
    pub discovery_known: bool,
    /// The number of resources and subresources that it is known to serve.
    pub types: usize,
    /// The time since its last answer; none if it has not answered since the companion started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer_seconds_ago: Option<u64>,
    /// How long it has been out of rotation.
    pub absent_seconds: u64,
    /// What went wrong in the last round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
