//! From what each peer serves to the map and the clusters that it names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api_discovery::{MergedDocuments, PackCache, Version};
use discovery_map::{
    BySet, IdentityHeaders, MapDocument, PeerEntry, PeerState, Resources, SCHEMA_VERSION, Versions,
};

use super::Index;
use super::peer::Tracked;
use super::sets::{PeerSet, Sets};
use super::snapshot::{Memory, Snapshot};

/// group → version → resource → the peers known to serve it, and for the
/// version itself the peers known to have it.
type Merged<'k> = BTreeMap<&'k str, BTreeMap<&'k str, MergedVersion<'k>>>;

#[derive(Default)]
struct MergedVersion<'k> {
    peers: PeerSet,
    /// Those of `peers` that do not vouch for what they list.
    stale: PeerSet,
    resources: BTreeMap<&'k str, MergedResource>,
}

/// The peers known to serve a resource, by the scope in which they do.
#[derive(Clone, Copy, Default)]
struct MergedResource {
    namespaced: PeerSet,
    cluster_scoped: PeerSet,
}

impl Index {
    pub fn snapshot(&mut self) -> Snapshot {
        let mut packs = std::mem::take(&mut self.packs);
        let snapshot = self.snapshot_with(&mut packs);
        self.packs = packs;
        snapshot
    }

    fn snapshot_with(&self, packs: &mut PackCache) -> Snapshot {
        let (rotation, frozen) = self.rotation();
        let mut sets = Sets::new(&self.config.envoy.cluster_prefix, &self.peers, rotation);
        let groups = groups(&self.merged(rotation), &mut sets);
        let widest_view = sets.index_of(self.widest_view(rotation));
        let (MergedDocuments { conflicts, oversized, .. }, documents, open_api) =
            self.documents(&mut sets, packs);
        let peers = self.peers.iter();
        let map = MapDocument {
            schema_version: SCHEMA_VERSION,
            generation: 1,
            complete: self.is_complete(),
            default_cluster: self.config.envoy.cluster_prefix.to_string(),
            identity: self.identity(),
            peers: peers
                .map(|peer| PeerEntry { name: peer.name.to_string(), state: peer.state })
                .collect(),
            sets: sets.entries(),
            widest_view,
            groups,
            documents,
            open_api,
            strict_not_found: self.config.strict_not_found.clone(),
        };
        let (clusters, memory) = (sets.clusters(), self.memory());
        Snapshot { map, clusters, conflicts, oversized, frozen, memory }
    }

    /// The names that the cluster says come first, because the first name of a list
    /// is the one that is sent. Clients must not send the configured ones either.
    fn identity(&self) -> IdentityHeaders {
        let configured = &self.config.request_headers;
        let read = self.request_headers.as_ref();
        let names = read.map_or_else(|| configured.clone(), |read| read.merged_with(configured));
        IdentityHeaders {
            front_proxy: self.config.front_proxy.is_some(),
            username_headers: text(&names.username_headers),
            group_headers: text(&names.group_headers),
            uid_headers: text(&names.uid_headers),
            extra_header_prefixes: text(&names.extra_header_prefixes),
        }
    }

    /// Returns the peers in rotation, and whether no peer is ready, so that it is
    /// the last rotation; if there never was one, it is every configured peer.
    fn rotation(&self) -> (PeerSet, bool) {
        let serving = self.positions(|peer| peer.state == PeerState::Serving);
        if !serving.is_empty() {
            return (serving, false);
        }
        let last = self.positions(|peer| self.last_rotation.contains(&peer.name));
        (if last.is_empty() { self.positions(|_| true) } else { last }, true)
    }

    fn positions(&self, wanted: impl Fn(&Tracked) -> bool) -> PeerSet {
        let peers = self.peers.iter().enumerate();
        PeerSet::collect(peers.filter(|(_, peer)| wanted(peer)).map(|(position, _)| position))
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = (usize, &Tracked)> {
        let forget_after = self.config.forget_after;
        self.peers.iter().enumerate().filter(move |(_, peer)| !peer.is_forgotten(forget_after))
    }

    fn is_complete(&self) -> bool {
        self.remembered().all(|(_, peer)| peer.belief.is_complete())
    }

    fn merged(&self, rotation: PeerSet) -> Merged<'_> {
        let mut merged = Merged::new();
        for (position, peer) in self.remembered() {
            for (group, Version { name: version, types, stale }) in peer.belief.group_versions() {
                if !rotation.contains(position) && !self.origins.is_built_in(group, version) {
                    continue;
                }
                let version = merged.entry(group).or_default().entry(version).or_default();
                version.peers.insert(position);
                if *stale {
                    version.stale.insert(position);
                }
                for name in &types.namespaced {
                    version.resources.entry(name).or_default().namespaced.insert(position);
                }
                for name in &types.cluster_scoped {
                    version.resources.entry(name).or_default().cluster_scoped.insert(position);
                }
            }
        }
        for (group, versions) in &mut merged {
            for (name, version) in versions {
                version.leave_out_stale(rotation, self.origins.is_built_in(group, name));
            }
        }
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
        let peers = self.peers.iter();
        let peers =
            peers.map(|peer| peer.memory(self.last_rotation.contains(&peer.name), &self.origins));
        Memory { peers: peers.collect(), request_headers: self.request_headers.clone() }
    }
}

fn text<N: ToString>(names: &[N]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn groups(merged: &Merged<'_>, sets: &mut Sets<'_>) -> BTreeMap<String, Versions> {
    let group = |(group, versions): (&&str, &BTreeMap<_, _>)| {
        let versions = versions.iter().map(|(name, version): (&&str, &MergedVersion<'_>)| {
            ((*name).to_owned(), by_set(version, sets))
        });
        ((*group).to_owned(), Versions(versions.collect()))
    };
    merged.iter().map(group).collect()
}

fn by_set(version: &MergedVersion<'_>, sets: &mut Sets<'_>) -> BySet {
    let mut by_set = BTreeMap::<u16, Resources>::new();
    for (name, resource) in &version.resources {
        let namespaced = resource.is_namespaced(sets.rotation);
        let peers = if namespaced { resource.namespaced } else { resource.cluster_scoped };
        let resources = by_set.entry(sets.serving(peers)).or_default();
        let scoped =
            if namespaced { &mut resources.namespaced } else { &mut resources.cluster_scoped };
        scoped.push((*name).to_owned());
    }
    // The group-version has a document of its own, and the peers that have it may
    // differ from those of each resource.
    by_set.entry(sets.serving(version.peers)).or_default();
    BySet(by_set)
}

impl MergedVersion<'_> {
    /// Leaves out the peers that do not vouch for the version, while any peer in rotation does. What
    /// no fresh peer lists does not exist any more, unless the version is built into the peers: then
    /// each can have resources of its own.
    fn leave_out_stale(&mut self, rotation: PeerSet, is_built_in: bool) {
        let stale = self.stale;
        if stale.is_empty() || self.peers.and(rotation).without(stale).is_empty() {
            return;
        }
        self.peers = self.peers.without(stale);
        self.resources.retain(|_, resource| {
            let fresh = MergedResource {
                namespaced: resource.namespaced.without(stale),
                cluster_scoped: resource.cluster_scoped.without(stale),
            };
            let is_fresh = !fresh.peers().and(rotation).is_empty();
            if is_fresh {
                *resource = fresh;
            }
            is_fresh || is_built_in
        });
    }
}

impl MergedResource {
    fn peers(self) -> PeerSet {
        self.namespaced.or(self.cluster_scoped)
    }

    /// A resource has one scope in the map. Peers disagree only while a CRD is
    /// replaced by one with another scope: then the majority of the peers in
    /// rotation decides, and on a tie the majority of all peers.
    fn is_namespaced(&self, rotation: PeerSet) -> bool {
        let weight = |peers: PeerSet| (peers.and(rotation).len(), peers.len());
        weight(self.namespaced) >= weight(self.cluster_scoped)
    }
}
