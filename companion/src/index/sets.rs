//! Serving sets: which peers serve a target together, and the cluster of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use discovery_map::{ROTATION_SUFFIX, SetEntry};

use super::answering::Answering;
use super::names::cluster_name;
use super::peer::Tracked;
use super::snapshot::Cluster;
use crate::config::ClusterPrefix;
use crate::endpoints::Endpoints;

/// Peers, by their positions in the configuration; there are at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerSet(u64);

impl PeerSet {
    pub(super) fn insert(&mut self, position: usize) {
        self.0 |= 1_u64.checked_shl(u32::try_from(position).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    pub(super) fn contains(self, position: usize) -> bool {
        let mut other = Self::default();
        other.insert(position);
        self.0 & other.0 != 0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn collect(positions: impl Iterator<Item = usize>) -> Self {
        let mut set = Self::default();
        positions.for_each(|position| set.insert(position));
        set
    }
}

/// The serving sets, in the order in which the map needs them: the same
/// knowledge gives the same order. The first is always the whole rotation.
pub(super) struct Sets<'i> {
    prefix: &'i ClusterPrefix,
    peers: &'i [Tracked],
    answering: &'i Answering,
    pub(super) rotation: PeerSet,
    list: Vec<PeerSet>,
    by_peers: HashMap<PeerSet, u16>,
}

impl<'i> Sets<'i> {
    pub(super) fn new(
        prefix: &'i ClusterPrefix,
        peers: &'i [Tracked],
        answering: &'i Answering,
        rotation: PeerSet,
    ) -> Self {
        let (list, by_peers) = (Vec::new(), HashMap::new());
        let mut sets = Self { prefix, peers, answering, rotation, list, by_peers };
        sets.index_of(rotation);
        sets
    }

    /// Returns the index of a set, which is added if it is new.
    pub(super) fn index_of(&mut self, peers: PeerSet) -> u16 {
        // More sets than fit are impossible: the map would have gigabytes.
        let next = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        *self.by_peers.entry(peers).or_insert_with(|| {
            self.list.push(peers);
            next
        })
    }

    /// Returns the set that answers for a target, given the peers known to serve
    /// it: those of them that are in rotation, if any is.
    pub(super) fn serving(&mut self, known: PeerSet) -> u16 {
        let serving = known.and(self.rotation);
        self.index_of(if serving.is_empty() { known } else { serving })
    }

    /// Returns the sets as the map lists them.
    pub(super) fn entries(&self) -> Vec<SetEntry> {
        let positions = |set: PeerSet| {
            let all = 0..u16::try_from(self.peers.len()).unwrap_or(u16::MAX);
            all.filter(move |&position| set.contains(usize::from(position))).collect()
        };
        let sets = self.list.iter();
        sets.map(|&set| SetEntry { peers: positions(set), cluster: self.cluster(set) }).collect()
    }

    /// Returns the addresses of a set's peers, sorted.
    pub(super) fn addresses(&self, set: PeerSet) -> impl Iterator<Item = SocketAddr> + use<> {
        let addresses: BTreeSet<_> = self.members(set).map(|peer| peer.address).collect();
        addresses.into_iter()
    }

    /// Returns the clusters of the sets, and that of the whole rotation, sorted by
    /// name.
    pub(super) fn clusters(&self) -> Vec<Cluster> {
        let clusters = self.list.iter().filter_map(|&set| {
            self.cluster(set).map(|name| Cluster { name, endpoints: self.endpoints(set) })
        });
        let mut clusters: Vec<_> = clusters.collect();
        let name = format!("{}{ROTATION_SUFFIX}", self.prefix);
        clusters.push(Cluster { name, endpoints: self.addresses(self.rotation).collect() });
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    /// Returns the endpoints of a set, a level for each version. The peers of the first one answer.
    fn endpoints(&self, set: PeerSet) -> Endpoints {
        let mut levels = BTreeMap::<_, Vec<_>>::new();
        for peer in self.members(set) {
            levels.entry(self.answering.place(peer.minor())).or_default().push(peer.address);
        }
        Endpoints::of_levels(levels.into_values())
    }

    /// Returns the cluster of a set; `None` if no peer of it is in rotation.
    fn cluster(&self, set: PeerSet) -> Option<String> {
        if set == self.rotation {
            return Some(self.prefix.to_string());
        }
        if set.and(self.rotation).is_empty() {
            return None;
        }
        let names: Vec<_> = self.members(set).map(|peer| &peer.name).collect();
        Some(cluster_name(self.prefix, &names))
    }

    fn members(&self, set: PeerSet) -> impl Iterator<Item = &'i Tracked> {
        let peers = self.peers.iter().enumerate();
        peers.filter(move |(position, _)| set.contains(*position)).map(|(_, peer)| peer)
    }
}
