//! What is known of a control plane at one moment, and what changed between two moments. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_discovery::MinorVersion;
use discovery_map::{MapDocument, PeerState};

use super::change::Change;
use super::{shortened, types};
use crate::facts::PeerStatus;

/// The facts whose differences are recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub peers: Vec<PeerStatus>,
    /// `None` if all versions answer.
    pub answering: Option<MinorVersion>,
    pub map: Option<Arc<MapDocument>>,
    /// Why nothing can be published.
    pub error: Option<String>,
}

impl Facts {
    /// Returns what changed since then. Without a map before, only the map counts: the rest is
    /// what the companion found when it started.
    pub(super) fn since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if before.map.is_some() {
            changes.extend(peer_changes(&before.peers, &self.peers));
            if self.answering != before.answering {
                changes
                    .push(Change::AnsweringVersion { from: before.answering, to: self.answering });
            }
        }
        changes.extend(map_changes(before.map.as_deref(), self.map.as_deref()));
        if self.error != before.error
            && let Some(error) = &self.error
        {
            changes.push(Change::PublishFailed { reason: shortened(error) });
        }
        changes
    }
}

fn map_changes(before: Option<&MapDocument>, map: Option<&MapDocument>) -> Vec<Change> {
    let Some(map) = map else { return Vec::new() };
    if before.is_some_and(|before| before.generation == map.generation) {
        return Vec::new();
    }
    let mut changes = before.map(|before| types::changes(before, map)).unwrap_or_default();
    changes.push(Change::MapPublished {
        generation: map.generation,
        complete: map.complete,
        skewed_types: types::skewed(map),
    });
    changes
}

/// A peer whose address changed is a different peer, whatever its name.
fn present(peers: &[PeerStatus]) -> BTreeMap<(&str, std::net::SocketAddr), &PeerStatus> {
    let present = peers.iter().filter(|peer| !peer.left);
    present.map(|peer| ((peer.name.as_str(), peer.address), peer)).collect()
}

fn peer_changes(before: &[PeerStatus], now: &[PeerStatus]) -> Vec<Change> {
    let (before, now) = (present(before), present(now));
    let mut changes = Vec::new();
    for (key, peer) in before.iter().filter(|(key, _)| !now.contains_key(key)) {
        changes.push(Change::PeerLeft { peer: key.0.to_owned(), address: peer.address });
    }
    for (key, peer) in now {
        match before.get(&key) {
            None => {
                let name = peer.name.clone();
                changes.push(Change::PeerJoined { peer: name, address: peer.address });
                // What it was before is not known, as it is of one that nobody could reach yet.
                changes.extend(state_change(PeerState::Unreachable, peer));
                changes.extend(version_change(None, peer));
            }
            Some(before) => {
                changes.extend(state_change(before.state, peer));
                changes.extend(version_change(before.version.as_ref(), peer));
            }
        }
    }
    changes
}

fn state_change(from: PeerState, peer: &PeerStatus) -> Option<Change> {
    let to = peer.state;
    let error = peer.last_error.as_deref().filter(|_| to != PeerState::Serving);
    let reason = error.map(shortened);
    (from != to).then(|| Change::PeerState { peer: peer.name.clone(), from, to, reason })
}

fn version_change(from: Option<&Arc<str>>, peer: &PeerStatus) -> Option<Change> {
    let to = peer.version.as_ref()?;
    (from != Some(to)).then(|| Change::PeerVersion {
        peer: peer.name.clone(),
        from: from.map(|from| shortened(from).into()),
        to: shortened(to).into(),
    })
}
