//! Which peers there are: what the source has, and what it had.
//!
//! ```text
//!  in the roster ──────────────────────────▶ polled, in rotation when ready and read
//!  not any more  ──▶ left: out of rotation, its types known ──forgetAfter──▶ forgotten
//!  a person removed it from a list ────────────────────────────────────────▶ forgotten
//! ```
//!
//! Two companions that saw the same peers come and leave have the same peers in the same order,
//! whatever the order in which they saw it.

use std::collections::HashSet;

use api_discovery::Belief;
use discovery_map::PeerState;

use super::Index;
use super::peer::Tracked;
use crate::config::{MAX_PEERS, PeerName};
use crate::facts::Roster;

impl Index {
    /// Takes the peers that the source has. Returns whether a peer was removed for good that
    /// served, or had just left.
    pub(super) fn follow(&mut self, roster: &Roster) -> bool {
        self.watch.follow(roster.fresh, roster.fresh && roster.by_hand);
        let mut old = std::mem::take(&mut self.peers);
        // What a person adds may have been there for long.
        let joins_others = !old.is_empty() && !roster.by_hand;
        for peer in &roster.peers {
            let known = old.iter().position(|known| known.is(peer));
            let mut tracked = known.map_or_else(|| Tracked::new(peer), |at| old.remove(at));
            if known.is_none() && joins_others {
                tracked.join_others(self.watch.is_steady());
            }
            tracked.join();
            self.peers.push(tracked);
        }
        // A person may replace a list by a source, but then did not remove the peers.
        let removes = roster.by_hand && self.by_hand;
        self.by_hand = roster.by_hand;
        let mut removed_one_that_was_there = false;
        let present = self.peers.len();
        for mut known in old {
            if removes && !known.left {
                removed_one_that_was_there |= known.was_there();
            } else if known.leave() {
                self.peers.push(known);
            }
        }
        self.keep_within_bounds();
        if let Some(left) = self.peers.get_mut(present..) {
            left.sort_by_key(Tracked::place);
        }
        self.name_apart();
        removed_one_that_was_there
    }

    /// Forgets peers that left, if there are more than can be told apart: first those whose types
    /// another is known to have, then those of which no types are known, then the others, of each
    /// kind the ones that left first. Only the first lose nothing: what the others had is not known
    /// any more.
    fn keep_within_bounds(&mut self) {
        let surplus = self.peers.len().saturating_sub(MAX_PEERS);
        if surplus == 0 {
            return;
        }
        let mut left: Vec<_> =
            self.peers.iter().enumerate().filter(|(_, peer)| peer.left).collect();
        // Of those that have the same types, the one that left last is the one that has them.
        left.sort_by_key(|(_, peer)| (peer.absent, peer.place()));
        let mut distinct = Vec::new();
        for peer in self.present() {
            is_new_to(&mut distinct, &peer.belief);
        }
        let mut order = Vec::new();
        for (at, peer) in left {
            let loss = match (peer.is_read(), is_new_to(&mut distinct, &peer.belief)) {
                (false, _) => Loss::WhatNobodyKnows,
                (true, false) => Loss::Nothing,
                (true, true) => Loss::Types,
            };
            order.push((loss, at));
        }
        order.reverse();
        order.sort_by_key(|(loss, _)| *loss);
        order.truncate(surplus);
        if order.iter().any(|(loss, _)| *loss != Loss::Nothing) {
            self.watch.lose();
        }
        let forgotten: HashSet<_> = order.into_iter().map(|(_, at)| at).collect();
        let (count, most) = (forgotten.len(), MAX_PEERS);
        tracing::error!(count, most, "too many peers left their source: forgot some early");
        let mut at = 0..;
        self.peers.retain(|_| at.next().is_none_or(|at| !forgotten.contains(&at)));
    }

    /// Gives those that left another name if a peer that came since has theirs.
    fn name_apart(&mut self) {
        let mut taken: HashSet<_> = self.present().map(|peer| peer.name.clone()).collect();
        for peer in self.peers.iter_mut().filter(|peer| peer.left) {
            if !taken.insert(peer.name.clone()) {
                let name = PeerName::of_address(peer.address, |name| taken.contains(name));
                let (from, to) = (&peer.name, &name);
                tracing::info!(
                    %from,
                    %to,
                    "renamed a peer that left, because a new peer has its name"
                );
                taken.insert(name.clone());
                peer.name = name;
            }
        }
    }

    /// Returns the peers that the source has.
    pub(super) fn present(&self) -> impl Iterator<Item = &Tracked> {
        self.peers.iter().filter(|peer| !peer.left)
    }
}

/// What the index loses if it forgets a peer. The smallest loss comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    Nothing,
    WhatNobodyKnows,
    Types,
}

impl Tracked {
    /// Returns whether it serves, or did until a moment ago.
    fn was_there(&self) -> bool {
        self.state == PeerState::Serving || self.in_last_rotation || self.just_left()
    }
}

/// Adds the types of a peer to those that are known. Returns whether none had the same.
fn is_new_to<'b>(distinct: &mut Vec<&'b Belief>, belief: &'b Belief) -> bool {
    let is_new = !distinct.iter().any(|known| known.has_same_types_as(belief));
    if is_new {
        distinct.push(belief);
    }
    is_new
}
