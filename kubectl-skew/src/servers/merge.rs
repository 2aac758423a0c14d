//! What each server lists → the map that a companion would make of it, without documents.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use api_discovery::Belief;
use discovery_map::{
    BySet, IdentityHeaders, Ignored, MapDocument, Mode, OpenApi, PeerEntry, PeerState, Resources,
    SCHEMA_VERSION, Scope, SetEntry, SetsByVerb, Verb, Versions, at_least,
};

use crate::facts::Peer;

/// The cluster of all servers, by the name that the companion gives it by default.
const PREFIX: &str = "kube-apiserver";

/// A server, and what it lists.
pub struct Server {
    pub peer: Peer,
    /// `None` if its name cannot be resolved.
    pub address: Option<SocketAddr>,
    pub belief: Belief,
}

/// Servers, by their positions.
type Set = BTreeSet<u16>;

/// What the servers list of a type.
#[derive(Default)]
struct Type {
    servers: Set,
    verbs: BTreeMap<Verb, Set>,
    /// Those whose verbs are not known.
    unclear: Set,
}

/// The distinct sets; the first is the rotation.
struct Sets(Vec<Set>);

impl Sets {
    fn index_of(&mut self, set: &Set) -> u16 {
        let position = self.0.iter().position(|known| known == set).unwrap_or_else(|| {
            self.0.push(set.clone());
            self.0.len() - 1
        });
        u16::try_from(position).unwrap_or(u16::MAX)
    }

    fn rotation(&self) -> Set {
        self.0.first().cloned().unwrap_or_default()
    }

    /// Returns the set of those that serve in rotation; of all that are known to if none does.
    fn serving(&mut self, known: &Set) -> u16 {
        let serving: Set = known.intersection(&self.rotation()).copied().collect();
        self.index_of(if serving.is_empty() { known } else { &serving })
    }

    fn entries(&self, servers: &[Server]) -> Vec<SetEntry> {
        let rotation = self.rotation();
        let name = |set: &Set| {
            let names = set.iter().filter_map(|at| servers.get(usize::from(*at)));
            let names: Vec<_> = names.map(|server| server.peer.name.as_str()).collect();
            format!("{PREFIX}_{}", names.join("_"))
        };
        let cluster = |set: &Set| match () {
            () if *set == rotation => Some(PREFIX.to_owned()),
            () if set.is_disjoint(&rotation) => None,
            () => Some(name(set)),
        };
        let version = |at: &u16| servers.get(usize::from(*at))?.peer.minor_version;
        let versions: BTreeSet<_> =
            servers.iter().filter_map(|server| server.peer.minor_version).collect();
        let for_components = |set: &Set| match cluster(set) {
            Some(own) if versions.len() > 1 => at_least(&own, set.iter().map(version)),
            _ => BTreeMap::new(),
        };
        let entry = |set: &Set| SetEntry {
            peers: set.iter().copied().collect(),
            cluster: cluster(set),
            at_least: for_components(set),
        };
        self.0.iter().map(entry).collect()
    }
}

/// Returns the map.
pub fn document(servers: &[Server]) -> MapDocument {
    let in_rotation =
        |server: &Server| server.peer.state == PeerState::Serving && server.belief.is_complete();
    let all = || (0_u16..).zip(servers);
    let rotation = all().filter(|(_, one)| in_rotation(one)).map(|(at, _)| at).collect();
    let mut sets = Sets(vec![rotation]);
    let (groups, verbs) = types(servers, &mut sets);
    let peers = servers.iter().map(|server| {
        let Peer { name, state, minor_version, .. } = &server.peer;
        PeerEntry { name: name.clone(), state: *state, version: *minor_version }
    });
    let addresses = servers.iter().filter(|server| in_rotation(server));
    let addresses: BTreeSet<_> = addresses.filter_map(|server| server.address).collect();
    MapDocument {
        schema_version: SCHEMA_VERSION,
        generation: 1,
        complete: servers.iter().all(|server| server.belief.is_complete()),
        mode: Mode::Enforce,
        decision_header_groups: Vec::new(),
        default_cluster: PREFIX.to_owned(),
        identity: IdentityHeaders::default(),
        peers: peers.collect(),
        rotation: addresses.into_iter().map(|address| address.to_string()).collect(),
        just_left: false,
        sets: sets.entries(servers),
        widest_view: 0,
        groups,
        verbs,
        documents: Vec::new(),
        open_api: OpenApi::default(),
        strict_not_found: Ignored,
    }
}

type InMap = (BTreeMap<String, Versions>, BTreeMap<String, SetsByVerb>);

fn types(servers: &[Server], sets: &mut Sets) -> InMap {
    let (mut groups, mut by_verb) = InMap::default();
    for ((group, version), (listing, types)) in listed(servers) {
        let mut by_set = BTreeMap::<u16, Resources>::new();
        for ((name, scope), found) in types {
            let resources = by_set.entry(sets.serving(&found.servers)).or_default();
            match scope {
                Scope::Namespaced => resources.namespaced.push(name.to_owned()),
                Scope::Cluster => resources.cluster_scoped.push(name.to_owned()),
            }
            let differing = differing(&found, sets);
            if !differing.is_empty() {
                by_verb.insert(format!("{group}/{version}/{name}"), SetsByVerb(differing));
            }
        }
        by_set.entry(sets.serving(&listing)).or_default();
        let versions: &mut Versions = groups.entry(group.to_owned()).or_default();
        versions.0.insert(version.to_owned(), BySet(by_set));
    }
    (groups, by_verb)
}

/// A version of a group.
type GroupVersion<'s> = (&'s str, &'s str);

/// Who lists a version, and its types.
type Listed<'s> = (Set, BTreeMap<(&'s str, Scope), Type>);

/// Returns what is listed. A server that calls a version stale counts only if all that list it do.
fn listed(servers: &[Server]) -> BTreeMap<GroupVersion<'_>, Listed<'_>> {
    let versions = || {
        let all = (0_u16..).zip(servers);
        all.flat_map(|(at, server)| {
            server.belief.group_versions().map(move |(group, version)| (at, group, version))
        })
    };
    let fresh = versions().filter(|(_, _, version)| !version.stale);
    let fresh: BTreeSet<_> = fresh.map(|(_, group, version)| (group, &*version.name)).collect();
    let mut found = BTreeMap::<GroupVersion<'_>, Listed<'_>>::new();
    for (at, group, version) in versions() {
        let key = (group, &*version.name);
        if version.stale && fresh.contains(&key) {
            continue;
        }
        let (listing, types) = found.entry(key).or_default();
        listing.insert(at);
        for (name, scope, verbs) in version.types.iter() {
            let one = types.entry((name, scope)).or_default();
            one.servers.insert(at);
            if verbs.is_unknown() {
                one.unclear.insert(at);
            }
            for verb in Verb::ALL.into_iter().filter(|verb| verbs.has(*verb)) {
                one.verbs.entry(verb).or_default().insert(at);
            }
        }
    }
    found
}

/// Returns the verbs that some of the servers of a type in rotation have, and others do not.
fn differing(found: &Type, sets: &mut Sets) -> BTreeMap<Verb, u16> {
    let rotation = sets.rotation();
    let here = |set: &Set| -> Set { set.intersection(&rotation).copied().collect() };
    let serving = here(&found.servers);
    let mut differing = BTreeMap::new();
    for (verb, having) in &found.verbs {
        let having = here(having);
        let may_have: Set = having.union(&here(&found.unclear)).copied().collect();
        if !having.is_empty() && may_have != serving {
            differing.insert(*verb, sets.index_of(&may_have));
        }
    }
    differing
}

#[cfg(test)]
mod tests {
    use api_discovery::{Belief, DiscoveryDocument, Part};
    use discovery_map::{DiscoveryMap, PeerState};
    use serde_json::json;

    use super::super::unread;
    use super::{Server, document};

    /// A server that lists these resources of `a.example/v1` with these verbs, and `pods`.
    fn server(name: &str, state: PeerState, resources: &[(&str, &[&str])]) -> Server {
        let resource = |(name, verbs): &(&str, &[&str])| {
            let kind = json!({ "group": "", "version": "", "kind": "Kind" });
            json!({ "resource": name, "responseKind": kind, "scope": "Cluster", "verbs": verbs })
        };
        let group = |name: &str, resources: &[(&str, &[&str])]| {
            let resources: Vec<_> = resources.iter().map(resource).collect();
            let version =
                json!({ "version": "v1", "resources": resources, "freshness": "Current" });
            json!({
                "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                "items": [{ "metadata": { "name": name }, "versions": [version] }],
            })
        };
        let mut belief = Belief::default();
        let pods = [("pods", &["get", "list"][..])];
        for (part, text) in
            [(Part::Core, group("", &pods)), (Part::Named, group("a.example", resources))]
        {
            let DiscoveryDocument::Aggregated(list) = serde_json::from_value(text).unwrap() else {
                panic!("not aggregated");
            };
            belief.update(part, list.read(part));
        }
        let peer = crate::facts::Peer { state, ..unread(name.to_owned()) };
        Server { peer, address: Some("10.0.0.1:6443".parse().unwrap()), belief }
    }

    #[test]
    fn servers_that_differ_make_a_valid_map_with_their_sets() {
        let servers = [
            server("a:1", PeerState::Serving, &[("one", &["get"]), ("two", &["get"])]),
            server("b:1", PeerState::Serving, &[("one", &["get", "patch"])]),
            server("c:1", PeerState::NotReady, &[("old", &["get"])]),
        ];
        let document = document(&servers);
        let text = serde_json::to_value(&document).unwrap();
        let map = DiscoveryMap::try_from(document).unwrap();
        let names = |resource: &[u8]| {
            let found = map.resource(b"a.example", b"v1", resource, None).unwrap();
            map.peers_of(found.set).map(|peer| peer.name.clone()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(
            (names(b"one"), names(b"two"), names(b"old")),
            ("a:1,b:1".into(), "a:1".into(), "c:1".into())
        );
        assert_eq!(map.skewed_targets(), 2);
        let patch = &text["verbs"]["a.example/v1/one"]["patch"];
        let set = usize::try_from(patch.as_u64().unwrap()).unwrap();
        assert_eq!(text["sets"][set]["cluster"], "kube-apiserver_b:1");
        assert!(map.complete);
    }
}
