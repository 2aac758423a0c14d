//! From what each peer serves to serving sets, clusters and the document.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use discovery_map::{
    BySet, IdentityHeaders, MapDocument, PeerEntry, PeerState, Resources, SCHEMA_VERSION, SetEntry,
    Versions,
};

use super::peer::Tracked;
use super::{Cluster, Index, Memory, Snapshot, cluster_name};
use crate::config::HeaderName;

/// Peers, by their position in the configuration; there are at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerSet(u64);

impl PeerSet {
    fn insert(&mut self, position: usize) {
        self.0 |= 1_u64.checked_shl(u32::try_from(position).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    pub(super) fn contains(self, position: usize) -> bool {
        let mut other = Self::default();
        other.insert(position);
        self.0 & other.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn len(self) -> u32 {
        self.0.count_ones()
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn collect(positions: impl Iterator<Item = usize>) -> Self {
        let mut set = Self::default();
        positions.for_each(|position| set.insert(position));
        set
    }
}

/// group → version → resource → the peers known to serve it, and for the
/// version itself the peers known to have it.
type Merged<'k> = BTreeMap<&'k str, BTreeMap<&'k str, MergedVersion<'k>>>;

#[derive(Default)]
struct MergedVersion<'k> {
    peers: PeerSet,
    resources: BTreeMap<&'k str, MergedResource>,
}

/// The peers known to serve a resource, by the scope in which they do.
#[derive(Clone, Copy, Default)]
struct MergedResource {
    namespaced: PeerSet,
    cluster_scoped: PeerSet,
}

impl Index {
    /// What follows from all that is known.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (rotation, frozen) = self.rotation();
        let merged = self.merged(rotation);
        let mut sets = Sets::new(self, rotation);
        let groups = merged
            .iter()
            .map(|(group, versions)| {
                let versions = versions
                    .iter()
                    .map(|(version, merged)| ((*version).to_owned(), sets.version(merged)))
                    .collect();
                ((*group).to_owned(), Versions(versions))
            })
            .collect();
        let widest_view = sets.index_of(self.widest_view(rotation));
        let documents = self.documents(rotation, &mut sets);
        let strict = self.config.strict_not_found.as_ref();
        let document = MapDocument {
            schema_version: SCHEMA_VERSION,
            generation: 1,
            complete: self.is_complete(),
            default_cluster: self.config.envoy.cluster_prefix.to_string(),
            identity: self.identity(),
            peers: self
                .peers
                .iter()
                .map(|peer| PeerEntry { name: peer.name.to_string(), state: peer.state })
                .collect(),
            sets: sets.entries(),
            widest_view,
            groups,
            documents: documents.documents,
            open_api: documents.open_api,
            strict_not_found: strict.map(crate::config::StrictNotFound::in_the_map),
        };
        Snapshot {
            document,
            clusters: sets.clusters(),
            conflicts: documents.conflicts,
            oversized: documents.oversized,
            frozen,
            memory: self.memory(),
        }
    }

    /// What the cluster says goes first, for the first name of a list is the
    /// one that is sent. No client may send what only the configuration names.
    fn identity(&self) -> IdentityHeaders {
        let configured = &self.config.request_headers;
        let read = self.request_headers.as_ref();
        let names = read.map_or_else(|| configured.clone(), |read| read.merged_with(configured));
        let text = |names: &[HeaderName]| names.iter().map(ToString::to_string).collect();
        IdentityHeaders {
            front_proxy: self.config.front_proxy.is_some(),
            username_headers: text(&names.username_headers),
            group_headers: text(&names.group_headers),
            uid_headers: text(&names.uid_headers),
            extra_header_prefixes: names
                .extra_header_prefixes
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }

    /// The peers in rotation, and whether that is only what is left of the
    /// past: before anything was ever seen it is every configured peer.
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
        self.remembered().all(|(_, peer)| peer.known.is_complete())
    }

    fn merged(&self, rotation: PeerSet) -> Merged<'_> {
        let mut merged = Merged::new();
        for (position, peer) in self.remembered() {
            for (group, version, types) in peer.known.group_versions() {
                if !rotation.contains(position) && !self.origins.is_built_in(group, version) {
                    continue;
                }
                let version = merged.entry(group).or_default().entry(version).or_default();
                version.peers.insert(position);
                for name in &types.namespaced {
                    version.resources.entry(name).or_default().namespaced.insert(position);
                }
                for name in &types.cluster_scoped {
                    version.resources.entry(name).or_default().cluster_scoped.insert(position);
                }
            }
        }
        merged
    }

    /// The peers in rotation with the most types, and the same ones: of two
    /// versions of Kubernetes, mostly the newer. Between equal numbers of
    /// different types the first name decides, so that the answer does not
    /// change back and forth.
    fn widest_view(&self, rotation: PeerSet) -> PeerSet {
        let in_rotation = || {
            self.remembered()
                .filter(move |(position, _)| rotation.contains(*position))
                .map(|(position, peer)| (position, peer, peer.known.type_count()))
        };
        let best = in_rotation().max_by(|(_, a, a_types), (_, b, b_types)| {
            a_types.cmp(b_types).then_with(|| b.name.cmp(&a.name))
        });
        let Some((_, best, _)) = best else { return rotation };
        let same = in_rotation().filter(|(_, peer, _)| peer.known == best.known);
        PeerSet::collect(same.map(|(position, ..)| position))
    }

    fn memory(&self) -> Memory {
        let peers = self.peers.iter();
        let peers =
            peers.map(|peer| peer.memory(self.last_rotation.contains(&peer.name), &self.origins));
        Memory { peers: peers.collect(), request_headers: self.request_headers.clone() }
    }
}

/// The serving sets, in the order in which the groups need them: the same
/// knowledge gives the same order. The first is always the whole rotation.
pub(super) struct Sets<'i> {
    index: &'i Index,
    rotation: PeerSet,
    list: Vec<PeerSet>,
    by_peers: HashMap<PeerSet, u16>,
}

impl<'i> Sets<'i> {
    fn new(index: &'i Index, rotation: PeerSet) -> Self {
        let mut sets = Self { index, rotation, list: Vec::new(), by_peers: HashMap::new() };
        sets.index_of(rotation);
        sets
    }

    pub(super) fn index_of(&mut self, peers: PeerSet) -> u16 {
        // More sets than fit cannot be: the map itself would be gigabytes.
        let next = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        *self.by_peers.entry(peers).or_insert_with(|| {
            self.list.push(peers);
            next
        })
    }

    /// A resource has one scope in the map. Peers disagree only while a CRD is
    /// replaced by one of another scope: then the peers in rotation count, and
    /// among them more than fewer.
    fn prefers_namespaced(&self, resource: &MergedResource) -> bool {
        let weight = |peers: PeerSet| (peers.and(self.rotation).len(), peers.len());
        weight(resource.namespaced) >= weight(resource.cluster_scoped)
    }

    /// The peers to which a target goes that `known` are known to serve.
    fn serving(&mut self, known: PeerSet) -> u16 {
        let serving = known.and(self.rotation);
        self.index_of(if serving.is_empty() { known } else { serving })
    }

    fn version(&mut self, merged: &MergedVersion<'_>) -> BySet {
        let mut by_set = BTreeMap::<u16, Resources>::new();
        for (name, resource) in &merged.resources {
            let namespaced = self.prefers_namespaced(resource);
            let peers = if namespaced { resource.namespaced } else { resource.cluster_scoped };
            let resources = by_set.entry(self.serving(peers)).or_default();
            let scoped = match namespaced {
                true => &mut resources.namespaced,
                false => &mut resources.cluster_scoped,
            };
            scoped.push((*name).to_owned());
        }
        // The group-version has a document of its own, which peers may have
        // that serve none of its resources alone.
        by_set.entry(self.serving(merged.peers)).or_default();
        BySet(by_set)
    }

    fn cluster(&self, set: PeerSet) -> Option<String> {
        let prefix = &self.index.config.envoy.cluster_prefix;
        if set == self.rotation {
            return Some(prefix.to_string());
        }
        if set.and(self.rotation).is_empty() {
            return None;
        }
        let names: Vec<_> = self.members(set).map(|peer| &peer.name).collect();
        Some(cluster_name(prefix, &names))
    }

    fn members(&self, set: PeerSet) -> impl Iterator<Item = &'i Tracked> {
        let peers = self.index.peers.iter().enumerate();
        peers.filter(move |(position, _)| set.contains(*position)).map(|(_, peer)| peer)
    }

    fn entries(&self) -> Vec<SetEntry> {
        let positions = |set: PeerSet| {
            let all = 0..u16::try_from(self.index.peers.len()).unwrap_or(u16::MAX);
            all.filter(move |&position| set.contains(usize::from(position))).collect()
        };
        let sets = self.list.iter();
        sets.map(|&set| SetEntry { peers: positions(set), cluster: self.cluster(set) }).collect()
    }

    fn clusters(&self) -> Vec<Cluster> {
        let endpoints = |set: PeerSet| {
            let addresses: BTreeSet<_> = self.members(set).map(|peer| peer.address).collect();
            addresses.into_iter().collect()
        };
        let mut clusters: Vec<_> = self
            .list
            .iter()
            .filter_map(|&set| {
                self.cluster(set).map(|name| Cluster { name, endpoints: endpoints(set) })
            })
            .collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }
}
