//! What an event showed and the log should have: plain data, so that the index
//! itself does not log.

use std::time::Duration;

use api_discovery::Part;
use discovery_map::PeerState;

use crate::config::PeerName;

/// Something to log about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The peer.
    pub peer: PeerName,
    /// What happened.
    pub what: NoteKind,
}

/// What happened. A failure is noted once, as long as its reason stays the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The state of the peer changed.
    State {
        /// The state before.
        from: PeerState,
        /// The state now.
        to: PeerState,
        /// Why; `None` if the peer is ready.
        reason: Option<String>,
    },
    /// The peer serves other types than before.
    DiscoveryChanged {
        /// The half of discovery.
        part: Part,
        /// The number of all its types.
        types: usize,
    },
    /// One half of discovery could not be read.
    DiscoveryFailed {
        /// The half of discovery.
        part: Part,
        /// Why.
        reason: String,
    },
    /// The index of OpenAPI v3 could not be read.
    OpenApiFailed {
        /// Why.
        reason: String,
    },
    /// The peer's types keep changing.
    Restless {
        /// How often they changed.
        changes: u32,
        /// Within this time.
        within: Duration,
    },
}
