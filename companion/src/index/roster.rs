//! Which peers there are: what the source has, and what it had.
//!
//! ```text
//!  in the roster ──────────────────────────▶ polled, in rotation when ready and read
//!  not any more  ──▶ left: out of rotation, its types known ──forgetAfter──▶ forgotten
//!  a person removed it from a list ────────────────────────────────────────▶ forgotten
//! ```

use std::collections::HashSet;

use discovery_map::PeerState;

use super::Index;
use super::peer::Tracked;
use crate::config::{MAX_PEERS, PeerName};
use crate::facts::Roster;

impl Index {
    /// Takes the peers that the source has. Returns whether a peer was removed for good that
    /// served, or had just left.
    pub(super) fn follow(&mut self, roster: &Roster) -> bool {
        let mut old = std::mem::take(&mut self.peers);
        // What a person adds may have been there for long.
        let late = !old.is_empty() && !roster.by_hand;
        for peer in &roster.peers {
            let known = old.iter().position(|known| known.is(peer));
            let mut tracked = known.map_or_else(|| Tracked::new(peer), |at| old.remove(at));
            tracked.late |= known.is_none() && late;
            tracked.join();
            self.peers.push(tracked);
        }
        // A person may replace a list by a source, but then did not remove the peers.
        let removes = roster.by_hand && self.by_hand;
        self.by_hand = roster.by_hand;
        let mut removed_one_that_was_there = false;
        for mut known in old {
            if removes && !known.left {
                removed_one_that_was_there |= known.was_there();
            } else if known.leave() {
                self.peers.push(known);
            }
        }
        self.keep_within_bounds();
        self.name_apart();
        removed_one_that_was_there
    }

    /// Forgets peers that left, if there are more than can be told apart: first those whose types
    /// another is known to have, then those that left first.
    fn keep_within_bounds(&mut self) {
        while self.peers.len() > MAX_PEERS {
            let others = |at: usize| {
                let others = self.peers.iter().enumerate().filter(move |(other, _)| *other != at);
                others.map(|(_, other)| other)
            };
            let left = self.peers.iter().enumerate().filter(|(_, peer)| peer.left);
            let least = left.max_by_key(|(at, peer)| {
                let known = others(*at).any(|other| other.belief.has_same_types_as(&peer.belief));
                (known, peer.absent)
            });
            let Some((at, _)) = least else { return };
            let forgotten = self.peers.remove(at);
            let (peer, most) = (&forgotten.name, MAX_PEERS);
            tracing::error!(%peer, most, "too many peers left their source: forgot one early");
        }
    }

    /// Gives those that left another name if a peer that came since has theirs.
    fn name_apart(&mut self) {
        let mut taken: HashSet<_> = self.present().map(|peer| peer.name.clone()).collect();
        for peer in self.peers.iter_mut().filter(|peer| peer.left) {
            if !taken.insert(peer.name.clone()) {
                let by_address = PeerName::of_address(peer.address);
                let numbered = (2..).map(|number| format!("{by_address}-{number}"));
                let mut names = std::iter::once(by_address.to_string()).chain(numbered);
                let free = names.find_map(|name| {
                    name.parse::<PeerName>().ok().filter(|name| taken.insert(name.clone()))
                });
                if let Some(name) = free {
                    let (from, to) = (&peer.name, &name);
                    tracing::info!(%from, %to, "another peer has the name of one that left");
                    peer.name = name;
                }
            }
        }
    }

    /// Returns the peers that the source has.
    pub(super) fn present(&self) -> impl Iterator<Item = &Tracked> {
        self.peers.iter().filter(|peer| !peer.left)
    }
}

impl Tracked {
    /// Returns whether it serves, or did until a moment ago.
    fn was_there(&self) -> bool {
        self.state == PeerState::Serving || self.in_last_rotation || self.just_left()
    }
}
