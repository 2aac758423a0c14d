//! What must be remembered over a restart.

use std::net::SocketAddr;
use std::sync::Arc;

use api_discovery::{SavedNames, SavedTexts};
use discovery_map::PeerState;
use serde::{Deserialize, Serialize};

use crate::config::RequestHeaders;

/// What must be remembered over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The configured peers.
    pub peers: Vec<PeerMemory>,
    /// The names of the identity headers that a peer told.
    #[serde(default, rename = "requestHeaders", skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaders>,
}

/// What must be remembered of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerMemory {
    /// The name of the peer.
    pub name: String,
    /// Its address. A peer with another address is another peer.
    pub address: SocketAddr,
    /// Its last state.
    pub state: PeerState,
    /// Whether it was in the last rotation.
    pub in_rotation: bool,
    /// How long it has been out of rotation, counted while a companion ran.
    pub absent_seconds: u64,
    /// Its version.
    pub version: Option<Arc<str>>,
    /// The types that it serves.
    pub known: SavedNames,
    /// How its documents describe what is built into it.
    #[serde(default)]
    pub documents: SavedTexts,
}
