//! Serving sets: which peers serve a target together, and the cluster of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use discovery_map::{MinorVersion, ROTATION_SUFFIX, SetEntry, at_least, at_least_cluster};

use super::answering::Answering;
use super::names::{cluster_name, local_cluster};
use super::peer::Tracked;
use super::snapshot::Cluster;
use crate::config::{ClusterPrefix, Config, MAX_PEERS, SkewPolicy};
use crate::endpoints::Endpoints;

/// Peers, by their positions in the index. The size is fixed because a map takes thousands of them,
/// one for each type and verb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PeerSet([u64; WORDS]);

const WORDS: usize = MAX_PEERS / 64;

impl PeerSet {
    pub(super) fn insert(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }

    pub(super) fn contains(self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    pub(super) fn and(self, other: Self) -> Self {
        self.with(other, |a, b| a & b)
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.with(other, |a, b| a | b)
    }

    pub(super) fn without(self, other: Self) -> Self {
        self.with(other, |a, b| a & !b)
    }

    fn with(mut self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = join(*a, b));
        self
    }

    pub(super) fn len(self) -> u32 {
        self.0.into_iter().map(u64::count_ones).sum()
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
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
    local: Option<SocketAddr>,
    /// Whether components go to peers that are as new as themselves.
    pub(super) keeps_skew_policy: bool,
    /// Whether all clusters have the levels of the default cluster.
    fixed: bool,
    pub(super) rotation: PeerSet,
    list: Vec<PeerSet>,
    by_peers: HashMap<PeerSet, u16>,
}

impl<'i> Sets<'i> {
    pub(super) fn new(
        config: &'i Config,
        peers: &'i [Tracked],
        answering: &'i Answering,
        rotation: PeerSet,
    ) -> Self {
        let (prefix, local) = (&config.envoy.cluster_prefix, config.local_peer);
        let fixed = config.envoy.fixed_clusters;
        // A component must be counted also when the last peer that is as new is away.
        let known = peers.iter().filter(|peer| !peer.is_forgotten(config.forget_after));
        let versions: BTreeSet<_> = known.filter_map(Tracked::minor).collect();
        let keeps_skew_policy = config.skew_policy == SkewPolicy::Keep && versions.len() > 1;
        let mut sets = Self {
            prefix,
            peers,
            answering,
            local,
            keeps_skew_policy,
            fixed,
            rotation,
            list: Vec::new(),
            by_peers: HashMap::new(),
        };
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
        let entry = |&set: &PeerSet| SetEntry {
            peers: positions(set),
            cluster: self.cluster(set),
            at_least: self.at_least(set),
        };
        self.list.iter().map(entry).collect()
    }

    /// Returns the clusters of a set for components, by their versions. None if the set has no cluster,
    /// or the policy does not matter.
    fn at_least(&self, set: PeerSet) -> BTreeMap<MinorVersion, String> {
        match self.cluster(set) {
            Some(cluster) if self.keeps_skew_policy => {
                at_least(&cluster, self.members(set).map(Tracked::minor))
            }
            _ => BTreeMap::new(),
        }
    }

    /// Returns the addresses of a set's peers, sorted.
    pub(super) fn addresses(&self, set: PeerSet) -> impl Iterator<Item = SocketAddr> + use<> {
        let addresses: BTreeSet<_> = self.members(set).map(|peer| peer.address).collect();
        addresses.into_iter()
    }

    /// Returns the clusters of the sets, that of the whole rotation, and that of the local peer,
    /// whether or not it is in rotation, sorted by name.
    pub(super) fn clusters(&self) -> Vec<Cluster> {
        let clusters = self.list.iter().filter_map(|&set| {
            self.cluster(set).map(|name| Cluster { name, endpoints: self.endpoints(set) })
        });
        let mut clusters: Vec<_> = clusters.collect();
        let name = format!("{}{ROTATION_SUFFIX}", self.prefix);
        clusters.push(Cluster { name, endpoints: self.addresses(self.rotation).collect() });
        clusters.extend(self.clusters_for_components());
        let name = local_cluster(self.prefix.as_str());
        clusters.extend(
            self.local.map(|local| Cluster { name, endpoints: [local].into_iter().collect() }),
        );
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    /// Returns the endpoints of a set, a level for each version. The peers of the first one answer.
    /// Of each version, the local peer is before the others.
    fn endpoints(&self, set: PeerSet) -> Endpoints {
        let mut levels = BTreeMap::<_, Vec<_>>::new();
        for peer in self.members(set) {
            let place = (self.answering.place(peer.minor()), self.local != Some(peer.address));
            levels.entry(place).or_default().push(peer.address);
        }
        Endpoints::of_levels(levels.into_values())
    }

    /// Returns the clusters of the sets, and of the whole rotation, for components of the versions that
    /// some peers in them do not have.
    fn clusters_for_components(&self) -> Vec<Cluster> {
        let mut clusters = Vec::new();
        for &set in &self.list {
            let own = self.cluster(set);
            let of_versions = self.at_least(set).into_iter();
            for (least, name) in of_versions.filter(|(_, name)| Some(name) != own.as_ref()) {
                let endpoints = self.endpoints_for(set, least, false);
                clusters.push(Cluster { name, endpoints });
                if set == self.rotation {
                    let whole = format!("{}{ROTATION_SUFFIX}", self.prefix);
                    let name = at_least_cluster(&whole, least);
                    let endpoints = self.endpoints_for(set, least, true);
                    clusters.push(Cluster { name, endpoints });
                }
            }
        }
        clusters
    }

    /// Returns the endpoints of a set for components of this version: those that are older answer only if
    /// none of the others can be reached, at once and without a companion. `alike`: the others are on one
    /// level.
    fn endpoints_for(&self, set: PeerSet, least: MinorVersion, alike: bool) -> Endpoints {
        let mut levels = BTreeMap::<_, Vec<_>>::new();
        for peer in self.members(set) {
            let suffices = peer.minor() >= Some(least);
            // Where all clusters have the levels of the default cluster, the older ones would come first.
            if suffices || !self.fixed {
                let place = self.answering.place_for(peer.minor(), least);
                let place = (!alike || !suffices).then_some(place);
                let distance = !alike && self.local != Some(peer.address);
                levels.entry((!suffices, place, distance)).or_default().push(peer.address);
            }
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
