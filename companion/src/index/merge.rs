//! From what each peer serves to the map and the clusters that it names.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{MergedOpenApi, PackCache, Version};
use discovery_map::{IdentityHeaders, Ignored, MapDocument, PeerEntry, PeerState, SCHEMA_VERSION};

use super::Index;
use super::merged::Documents;
use super::peer::Tracked;
use super::sets::{PeerSet, Sets};
use super::snapshot::{Memory, Snapshot};
use super::types::{MergedTypes, TypesInMap};

impl Index {
    pub fn snapshot(&mut self) -> Snapshot {
        if std::mem::take(&mut self.removed_before) {
            self.removed_at = Some(self.now);
        }
        let mut packs = std::mem::take(&mut self.packs);
        let (snapshot, open_api) = self.snapshot_with(&mut packs);
        (self.packs, self.open_api) = (packs, open_api);
        snapshot
    }

    /// Returns the snapshot, and the merged documents of OpenAPI v3 that are to be kept.
    fn snapshot_with(&self, packs: &mut PackCache) -> (Snapshot, Vec<Arc<MergedOpenApi>>) {
        let (rotation, frozen) = self.rotation();
        let mut sets = Sets::new(&self.config, &self.peers, &self.answering, rotation);
        let TypesInMap { groups, verbs } = self.types(rotation).in_map(&mut sets);
        let widest_view = sets.index_of(self.widest_view(rotation));
        let Documents { documents, open_api, open_api_merges, open_api_made, conflicts, oversized } =
            self.documents(&mut sets, packs);
        let peers = self.peers.iter();
        let map = MapDocument {
            schema_version: SCHEMA_VERSION,
            generation: 1,
            complete: self.is_complete(),
            mode: self.config.mode,
            decision_header_groups: self.config.decision_header_groups.clone(),
            default_cluster: self.config.envoy.cluster_prefix.to_string(),
            identity: self.identity(),
            peers: peers
                .map(|peer| PeerEntry {
                    name: peer.name.to_string(),
                    state: peer.state,
                    version: peer.minor().filter(|_| sets.keeps_skew_policy),
                })
                .collect(),
            rotation: sets.addresses(rotation).map(|address| address.to_string()).collect(),
            just_left: self.just_left(),
            sets: sets.entries(),
            widest_view,
            groups,
            verbs,
            documents,
            open_api,
            strict_not_found: Ignored,
        };
        let (clusters, memory) = (sets.clusters(), self.memory());
        let snapshot =
            Snapshot { map, clusters, conflicts, oversized, open_api_merges, frozen, memory };
        (snapshot, open_api_made)
    }

    /// The names that the cluster says come first, because the first name of a list
    /// is the one that is sent. Clients must not send the configured ones either.
    fn identity(&self) -> IdentityHeaders {
        let configured = &self.config.request_headers;
        let read = self.request_headers.as_ref();
        let names = read.map_or_else(|| configured.clone(), |read| read.merged_with(configured));
        IdentityHeaders {
            front_proxy: self.config.has_front_proxy(),
            username_headers: text(&names.username_headers),
            group_headers: text(&names.group_headers),
            uid_headers: text(&names.uid_headers),
            extra_header_prefixes: text(&names.extra_header_prefixes),
        }
    }

    /// Returns the peers in rotation, and whether no peer is ready, so that it is
    /// the last rotation; if there never was one, it is every peer that the source has.
    pub(super) fn rotation(&self) -> (PeerSet, bool) {
        let usable = self.positions(Tracked::is_usable);
        if !usable.is_empty() {
            return (usable, false);
        }
        let serving = self.positions(|peer| peer.state == PeerState::Serving);
        if !serving.is_empty() {
            return (serving, false);
        }
        // A server that took the address of one that left is another server, and not ready.
        let last = self.positions(|peer| peer.in_last_rotation && !self.is_replaced(peer));
        (if last.is_empty() { self.positions(|peer| !peer.left) } else { last }, true)
    }

    /// Returns whether a peer left and another has its address.
    fn is_replaced(&self, peer: &Tracked) -> bool {
        let others = || self.peers.iter().filter(|other| !other.left);
        peer.left && others().any(|other| other.address == peer.address)
    }

    /// Returns whether requests that every peer in rotation can answer go to this one, if it is in
    /// rotation.
    pub(super) fn is_answering(&self, peer: &Tracked) -> bool {
        let place = |peer: &Tracked| self.answering.place(peer.minor());
        let (rotation, _) = self.rotation();
        let in_rotation = self.peers.iter().enumerate().filter(|(at, _)| rotation.contains(*at));
        in_rotation.map(|(_, other)| place(other)).min().is_none_or(|first| place(peer) == first)
    }

    fn positions(&self, wanted: impl Fn(&Tracked) -> bool) -> PeerSet {
        let peers = self.peers.iter().enumerate();
        PeerSet::collect(peers.filter(|(_, peer)| wanted(peer)).map(|(position, _)| position))
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = (usize, &Tracked)> {
        let forget_after = self.config.forget_after;
        self.peers.iter().enumerate().filter(move |(_, peer)| !peer.is_forgotten(forget_after))
    }

    /// Returns whether a peer stopped serving, or was removed while it served, so
    /// recently that the others may not have seen yet all that it had seen.
    fn just_left(&self) -> bool {
        self.removed_at.is_some() || self.peers.iter().any(Tracked::just_left)
    }

    fn is_complete(&self) -> bool {
        let (rotation, _) = self.rotation();
        let counts = |at: usize, peer: &Tracked| !peer.is_unused() || rotation.contains(at);
        self.is_proof() && self.remembered().all(|(at, peer)| peer.is_read() || !counts(at, peer))
    }

    fn types(&self, rotation: PeerSet) -> MergedTypes<'_> {
        let is_built_in = |group: &str, version: &str| self.origins.is_built_in(group, version);
        let mut merged = MergedTypes::default();
        for (position, peer) in self.remembered() {
            for (group, Version { name: version, types, stale }) in peer.belief.group_versions() {
                if rotation.contains(position) || is_built_in(group, version) {
                    merged.add(position, (group, version), types, *stale);
                }
            }
        }
        merged.leave_out_stale(rotation, is_built_in);
        merged
    }

    /// Returns the peers in rotation that vouch for the most types, all of the same types: of
    /// two versions of Kubernetes, mostly the newer. Ties go to the peer with the
    /// first name, so that the answer does not change back and forth.
    fn widest_view(&self, rotation: PeerSet) -> PeerSet {
        let in_rotation = self.remembered().filter(|(at, _)| rotation.contains(*at));
        let in_rotation: Vec<_> = in_rotation.collect();
        let fresh_types = |peer: &Tracked| {
            let versions = peer.belief.group_versions().filter(|(_, version)| !version.stale);
            versions.map(|(_, version)| version.types.count()).sum::<usize>()
        };
        let best =
            in_rotation.iter().max_by_key(|(_, peer)| (fresh_types(peer), Reverse(&peer.name)));
        let Some((_, best)) = best else { return rotation };
        let same =
            in_rotation.iter().filter(|(_, peer)| peer.belief.has_same_types_as(&best.belief));
        PeerSet::collect(same.map(|(position, _)| *position))
    }

    fn memory(&self) -> Memory {
        let peers = self.peers.iter().map(|peer| peer.memory(&self.origins));
        let (watched, gap) = self.watch.to_save(self.config.forget_after);
        Memory {
            peers: peers.collect(),
            by_hand: self.by_hand,
            watched_seconds: watched.as_secs(),
            gap_seconds: gap.as_secs(),
            ago: Duration::ZERO,
            request_headers: self.request_headers.clone(),
            answering: self.answering.memory(),
        }
    }
}

fn text<N: ToString>(names: &[N]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
