//! Facts → which type is served by which peer: rows of types, columns of peers.

mod text;

use discovery_map::{PeerState, Verb};
use serde::Serialize;

use crate::facts::{Facts, Peer};
use crate::types::{Row, rows, verb_rows};

/// The matrix, with what is known of the peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed_at_unix_seconds: Option<u64>,
    /// Whether what the map does not know does not exist.
    complete: bool,
    /// The minor versions that answer for what every peer in rotation serves.
    answering_versions: Vec<String>,
    peers: Vec<Peer>,
    /// The number of types that are known, skewed or not.
    types_total: usize,
    /// The number of types that some peers in rotation serve and others do not, or that no peer in
    /// rotation serves.
    types_skewed: usize,
    types: Vec<Row>,
}

/// What a peer is to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Yes,
    /// It served the type when it was in rotation.
    Remembered,
    No,
    /// It is out of rotation, or its discovery was never read.
    Unknown,
}

impl Matrix {
    /// Lists the skewed types; all types if `all`.
    pub fn of(facts: &Facts, all: bool) -> Self {
        let document = &facts.document;
        let rows = rows(document);
        let (types_total, types_skewed) =
            (rows.len(), rows.iter().filter(|row| row.skewed).count());
        let mut types: Vec<_> = rows.into_iter().chain(verb_rows(document)).collect();
        types.retain(|row| all || row.skewed);
        types.sort_by(|a, b| key(a).cmp(&key(b)));
        Self {
            generation: document.generation,
            pushed_at_unix_seconds: facts.pushed_at,
            complete: document.complete,
            answering_versions: facts
                .answering_versions()
                .iter()
                .map(ToString::to_string)
                .collect(),
            peers: facts.peers.clone(),
            types_total,
            types_skewed,
            types,
        }
    }
}

/// Rows are sorted by this.
fn key(row: &Row) -> (&str, &str, &str, Option<Verb>) {
    (&row.group, &row.version, &row.resource, row.verb)
}

/// Returns what a peer is to a row.
fn served(row: &Row, peer: &Peer) -> Serves {
    let (serves, away) = (row.served_by.contains(&peer.name), peer.state != PeerState::Serving);
    match (serves, away) {
        (true, false) => Serves::Yes,
        (true, true) => Serves::Remembered,
        // Of a peer out of rotation, only types that are built in are remembered.
        (false, true) if !row.skewed => Serves::Unknown,
        (false, _) if peer.discovery_known => Serves::No,
        (false, _) => Serves::Unknown,
    }
}

#[cfg(test)]
mod tests;
