//! What follows from all that is known at one moment, and what of it must be
//! remembered: plain data.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{Belief, Conflict, MinorVersion, ServerVersion};
use discovery_map::{MapDocument, PeerState};
use serde::{Deserialize, Serialize};

use super::answering::AnsweringMemory;
use super::watch::Watch;
use crate::config::{Peer, RequestHeaders};
use crate::endpoints::Endpoints;
use crate::facts::{OpenApiMerge, Roster};

#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The map. Its generation is 1 and is replaced at the push.
    pub map: MapDocument,
    /// Every cluster that the map names, sorted by name.
    pub clusters: Vec<Cluster>,
    /// Where the peers contradict each other.
    pub conflicts: BTreeSet<Conflict>,
    /// Paths of merged documents that are too large to be made.
    pub oversized: Vec<String>,
    /// The documents of OpenAPI v3 that are to be merged, whether or not they have been.
    pub open_api_merges: Vec<OpenApiMerge>,
    /// Whether no peer is ready, so that the last rotation stays.
    pub frozen: bool,
    /// What must be remembered over a restart.
    pub memory: Memory,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    /// The peers in it.
    pub endpoints: Endpoints,
}

/// What must be remembered over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub peers: Vec<PeerMemory>,
    /// Whether a person listed the peers. Once, that was the only way.
    #[serde(default = "yes", rename = "byHand")]
    pub by_hand: bool,
    /// For how long the source was watched without a gap that could hide a server.
    #[serde(default, rename = "watchedSeconds")]
    pub watched_seconds: u64,
    /// For how long the source had said nothing.
    #[serde(default, rename = "gapSeconds")]
    pub gap_seconds: u64,
    /// How long ago that was written.
    #[serde(skip)]
    pub ago: Duration,
    /// The names of the identity headers that a peer told.
    #[serde(default, rename = "requestHeaders", skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaders>,
    /// The answering version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering: Option<AnsweringMemory>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            by_hand: true,
            watched_seconds: 0,
            gap_seconds: 0,
            ago: Duration::ZERO,
            request_headers: None,
            answering: None,
        }
    }
}

fn yes() -> bool {
    true
}

impl Memory {
    /// Returns for how long the source was watched; a person's list always is.
    pub(super) fn watch(&self, trusts_first: bool) -> Watch {
        let gap = Duration::from_secs(self.gap_seconds).saturating_add(self.ago);
        match (self.peers.is_empty(), self.by_hand) {
            (true, _) => Watch::new(trusts_first),
            // If it still is a list, that is said again.
            (false, true) => Watch::restore(Duration::MAX, gap),
            (false, false) => Watch::restore(Duration::from_secs(self.watched_seconds), gap),
        }
    }

    /// Returns the peers that their source had last.
    pub fn roster(&self) -> Roster {
        let present = self.peers.iter().filter(|peer| !peer.left);
        // Only valid names are saved.
        let peer = |known: &PeerMemory| {
            Some(Peer { name: known.name.parse().ok()?, address: known.address })
        };
        Roster { peers: present.filter_map(peer).collect(), by_hand: self.by_hand, fresh: false }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerMemory {
    pub name: String,
    /// Whether its source did not have it any more.
    #[serde(default)]
    pub left: bool,
    /// Whether it joined others, and got no request yet.
    #[serde(default)]
    pub late: bool,
    /// Its address. A peer whose address changed is a different peer.
    pub address: SocketAddr,
    pub state: PeerState,
    /// Whether it was in the last rotation.
    pub in_rotation: bool,
    /// How long it has been out of rotation, counted while a companion ran.
    pub absent_seconds: u64,
    /// Its `gitVersion`.
    pub version: Option<Arc<str>>,
    /// The minor version whose API it serves. An older companion did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor_version: Option<MinorVersion>,
    /// What it serves. A companion of an earlier form of the state did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belief: Option<Belief>,
}

impl PeerMemory {
    /// Returns the version of the peer.
    pub(super) fn version(&self) -> Option<ServerVersion> {
        let binary = ServerVersion::of_binary(Arc::clone(self.version.as_ref()?));
        let minor = self.minor_version.or(binary.minor);
        Some(ServerVersion { minor, ..binary })
    }
}
