//! What follows from all that is known at one moment: plain data.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use api_discovery::Conflict;
use discovery_map::MapDocument;

use super::memory::Memory;

/// All that follows from what is known at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The map. Its generation is 1 and is replaced at the push.
    pub document: MapDocument,
    /// Every cluster that the map names, sorted by name.
    pub clusters: Vec<Cluster>,
    /// Where the peers contradict each other.
    pub conflicts: BTreeSet<Conflict>,
    /// Paths of merged documents that are too large to be made.
    pub oversized: Vec<String>,
    /// Whether no peer is ready, so that the last rotation stays.
    pub frozen: bool,
    /// What must be remembered over a restart.
    pub memory: Memory,
}

/// An Envoy cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The peers in it, sorted.
    pub endpoints: Vec<SocketAddr>,
}
