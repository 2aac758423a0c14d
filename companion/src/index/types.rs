//! Which peers serve which types: group → version → resource → peers, and what the map
//! says of them.

use std::collections::BTreeMap;

use api_discovery::{Types, Verbs};
use discovery_map::{BySet, Resources, Scope, SetsByVerb, Verb, Versions};

use super::sets::{PeerSet, Sets};

/// group → version → what the peers serve of it.
#[derive(Default)]
pub(super) struct MergedTypes<'k>(BTreeMap<&'k str, BTreeMap<&'k str, MergedVersion<'k>>>);

/// The peers known to have a version, and resource → the peers known to serve it.
#[derive(Default)]
struct MergedVersion<'k> {
    peers: PeerSet,
    /// Those of `peers` that do not vouch for what they list.
    stale: PeerSet,
    /// Boxed, because a node of a map has room for eleven values, and most versions of custom
    /// resources have one resource.
    resources: BTreeMap<&'k str, Box<MergedResource>>,
}

/// The peers known to serve a resource, by the scope in which they do.
#[derive(Clone, Copy, Default)]
struct MergedResource {
    namespaced: PeerSet,
    cluster_scoped: PeerSet,
    /// The peers that have each verb, in the order of [`Verb::ALL`].
    verbs: [PeerSet; Verb::ALL.len()],
    /// The peers whose verbs are not known.
    unclear: PeerSet,
}

/// What the map says of types.
#[derive(Default)]
pub(super) struct TypesInMap {
    pub groups: BTreeMap<String, Versions>,
    pub verbs: BTreeMap<String, SetsByVerb>,
}

impl<'k> MergedTypes<'k> {
    /// Adds what the peer at a position lists of a version.
    pub(super) fn add(
        &mut self,
        position: usize,
        (group, version): (&'k str, &'k str),
        types: &'k Types,
        stale: bool,
    ) {
        let version = self.0.entry(group).or_default().entry(version).or_default();
        version.peers.insert(position);
        if stale {
            version.stale.insert(position);
        }
        for (name, scope, verbs) in types.iter() {
            version.resources.entry(name).or_default().add(position, scope, verbs);
        }
    }

    /// Leaves out the peers that do not vouch for a version, while any peer in rotation does.
    pub(super) fn leave_out_stale(
        &mut self,
        rotation: PeerSet,
        is_built_in: impl Fn(&str, &str) -> bool,
    ) {
        for (group, versions) in &mut self.0 {
            for (name, version) in versions {
                version.leave_out_stale(rotation, || is_built_in(group, name));
            }
        }
    }

    /// Returns what the map says; `sets` gets the sets that it names.
    pub(super) fn in_map(&self, sets: &mut Sets<'_>) -> TypesInMap {
        let mut found = TypesInMap::default();
        for (group, versions) in &self.0 {
            let mut by_version = Versions::default();
            for (name, version) in versions {
                let by_set = version.by_set(sets);
                by_version.0.insert((*name).to_owned(), by_set);
                for (resource, peers) in &version.resources {
                    let verbs = peers.differing_verbs(sets);
                    if !verbs.is_empty() {
                        let name = format!("{group}/{name}/{resource}");
                        found.verbs.insert(name, SetsByVerb(verbs));
                    }
                }
            }
            found.groups.insert((*group).to_owned(), by_version);
        }
        found
    }
}

impl MergedVersion<'_> {
    /// What no fresh peer lists does not exist any more, unless the version is built into the
    /// peers: then each can have resources of its own.
    fn leave_out_stale(&mut self, rotation: PeerSet, is_built_in: impl FnOnce() -> bool) {
        let stale = self.stale;
        if stale.is_empty() || self.peers.and(rotation).without(stale).is_empty() {
            return;
        }
        self.peers = self.peers.without(stale);
        let is_built_in = is_built_in();
        self.resources.retain(|_, resource| {
            let fresh = MergedResource {
                namespaced: resource.namespaced.without(stale),
                cluster_scoped: resource.cluster_scoped.without(stale),
                ..**resource
            };
            let is_fresh = !fresh.namespaced.or(fresh.cluster_scoped).and(rotation).is_empty();
            if is_fresh {
                **resource = fresh;
            }
            is_fresh || is_built_in
        });
    }

    fn by_set(&self, sets: &mut Sets<'_>) -> BySet {
        let mut by_set = BTreeMap::<u16, Resources>::new();
        for (name, resource) in &self.resources {
            let resources = by_set.entry(sets.serving(resource.peers(sets.rotation))).or_default();
            let scoped = if resource.is_namespaced(sets.rotation) {
                &mut resources.namespaced
            } else {
                &mut resources.cluster_scoped
            };
            scoped.push((*name).to_owned());
        }
        // The group-version has a document of its own, and the peers that have it may
        // differ from those of each resource.
        by_set.entry(sets.serving(self.peers)).or_default();
        BySet(by_set)
    }
}

impl MergedResource {
    fn add(&mut self, position: usize, scope: Scope, verbs: Verbs) {
        match scope {
            Scope::Namespaced => self.namespaced.insert(position),
            Scope::Cluster => self.cluster_scoped.insert(position),
        }
        if verbs.is_unknown() {
            self.unclear.insert(position);
        }
        let having = self.verbs.iter_mut().zip(Verb::ALL).filter(|(_, verb)| verbs.has(*verb));
        having.for_each(|(peers, _)| peers.insert(position));
    }

    /// A resource has one scope in the map. Peers disagree only while a CRD is
    /// replaced by one with another scope: then the majority of the peers in
    /// rotation decides, and on a tie the majority of all peers.
    fn is_namespaced(&self, rotation: PeerSet) -> bool {
        let weight = |peers: PeerSet| (peers.and(rotation).len(), peers.len());
        weight(self.namespaced) >= weight(self.cluster_scoped)
    }

    /// Returns the peers known to serve the resource.
    fn peers(&self, rotation: PeerSet) -> PeerSet {
        if self.is_namespaced(rotation) { self.namespaced } else { self.cluster_scoped }
    }

    /// Returns the verbs that some of the peers that serve it in rotation have, and others do
    /// not. A verb that none has is refused alike by all.
    fn differing_verbs(&self, sets: &mut Sets<'_>) -> BTreeMap<Verb, u16> {
        let serving = self.peers(sets.rotation).and(sets.rotation);
        let by_verb = Verb::ALL.into_iter().zip(self.verbs.map(|peers| peers.and(serving)));
        let had = by_verb.filter(|(_, peers)| !peers.is_empty());
        let may_have = had.map(|(verb, peers)| (verb, peers.or(self.unclear.and(serving))));
        let differing = may_have.filter(|(_, peers)| *peers != serving);
        differing.map(|(verb, peers)| (verb, sets.index_of(peers))).collect()
    }
}
