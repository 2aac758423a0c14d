//! A second sink: it records steps, and checks after each that a reader could live with what it
//! has.

use discovery_map::MapDocument;
use proptest::prelude::*;

use super::*;
use crate::endpoints::{Addresses, Endpoints};
use crate::publish::plan::{Name, Step};
use crate::xds::{FilterConfig, Secret};

/// What a reader has been told, and what a test wants.
#[derive(Default)]
struct ReaderSink {
    steps: Vec<&'static str>,
    endpoints: Addresses,
    secrets: BTreeMap<String, Secret>,
    clusters: Vec<xds::Cluster>,
    map: Option<MapDocument>,
    /// The endpoints that the map covers, and those that the next one will.
    covered: Addresses,
    next: Addresses,
    /// How many more steps succeed.
    lasts: Option<usize>,
}

impl Sink for ReaderSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        if self.lasts == Some(0) {
            return Err(serde_json::from_str::<Value>("").unwrap_err().into());
        }
        self.lasts = self.lasts.map(|steps| steps - 1);
        self.steps.push(match step {
            Step::Secrets(secrets) => {
                let secrets = secrets.iter().map(|one| (one.name.clone(), one.clone()));
                self.secrets.extend(secrets);
                "secrets"
            }
            Step::Endpoints(all) => {
                self.endpoints.extend(all.clone());
                "endpoints"
            }
            Step::Clusters { clusters, .. } => {
                self.clusters.clone_from(clusters);
                "clusters"
            }
            Step::Filter { filter: FilterConfig { map, .. }, version } => {
                let map: MapDocument = serde_json::from_str(map).unwrap();
                let before = self.map.as_ref().map_or(0, |map| map.generation);
                assert!(map.generation == *version && before < *version);
                self.map = Some(map);
                self.covered.clone_from(&self.next);
                "filter"
            }
            Step::Remove(names) => {
                for name in names {
                    let there = match name {
                        Name::Endpoints(cluster) => self.endpoints.remove(cluster).is_some(),
                        Name::Secret(name) => self.secrets.remove(name).is_some(),
                    };
                    assert!(there, "{name:?}");
                }
                "remove"
            }
        });
        self.check();
        Ok(())
    }

    fn has(&self, step: &Step) -> bool {
        matches!(step, Step::Filter { .. }) && self.map.is_some()
    }

    fn inventory(&self) -> BTreeSet<Name> {
        let endpoints = self.endpoints.keys().cloned().map(Name::Endpoints);
        endpoints.chain(self.secrets.keys().cloned().map(Name::Secret)).collect()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        Vec::new()
    }
}

impl ReaderSink {
    /// What is named exists, and what the map says of a cluster is true of all its endpoints.
    fn check(&self) {
        for cluster in &self.clusters {
            assert!(self.endpoints.contains_key(&cluster.name), "{cluster:?}");
            for secret in cluster.present.iter().chain([&cluster.peer_ca]) {
                assert!(self.secrets.contains_key(secret), "{cluster:?}");
            }
        }
        let Some(map) = &self.map else { return };
        for cluster in map.sets.iter().filter_map(|set| set.cluster.as_ref()) {
            let twin = map.identity.front_proxy.then(|| format!("{cluster}{FRONT_PROXY_SUFFIX}"));
            for name in twin.iter().chain([cluster]) {
                assert!(self.clusters.iter().any(|cluster| cluster.name == *name), "{name}");
                let covered = &self.covered[cluster];
                let strangers = self.endpoints[name].all().filter(|one| !covered.contains(*one));
                assert_eq!(strangers.count(), 0, "{name}: {:?}", self.endpoints[name]);
            }
        }
        self.check_rotation(map);
    }

    /// No server of the rotation's clusters serves what the word of the map's rotation could deny.
    fn check_rotation(&self, map: &MapDocument) {
        let rotation = format!("{}{ROTATION_SUFFIX}", map.default_cluster);
        let twin = map.identity.front_proxy.then(|| format!("{rotation}{FRONT_PROXY_SUFFIX}"));
        for name in twin.iter().chain([&rotation]) {
            for one in self.endpoints[name].all() {
                assert!(map.rotation.contains(&one.to_string()), "{one} joined {name} too early");
            }
        }
    }
}

impl Publisher<ReaderSink> {
    fn push_recorded(&mut self, snapshot: &Snapshot) -> Result<Vec<&'static str>, PublishError> {
        let clusters = snapshot.clusters.iter();
        self.sink.next = clusters.map(|one| (one.name.clone(), one.endpoints.clone())).collect();
        self.sink.steps.clear();
        self.push(snapshot)?;
        Ok(self.sink.steps.clone())
    }
}

/// Bits of `clusters` say which clusters there are, bits of `peers` which endpoints these have
/// beside the one that is always there: a cluster is never emptied, so what is checked always
/// holds.
fn of_bits(clusters: u8, peers: u8, complete: bool) -> Snapshot {
    let names = ["kube-apiserver_b", "kube-apiserver_c"];
    let mut wanted = snapshot((clusters & 1 != 0).then_some(names[0]), complete);
    wanted.map.identity.front_proxy = clusters & 4 != 0;
    if clusters & 2 != 0 {
        let endpoints = Endpoints::default();
        wanted.clusters.push(Cluster { name: names[1].to_owned(), endpoints });
        let peers = if clusters & 1 != 0 { vec![0] } else { vec![1] };
        wanted.map.sets.push(SetEntry {
            peers,
            cluster: Some(names[1].to_owned()),
            at_least: Default::default(),
        });
    }
    let ports = (0..4).filter(|bit| *bit == 0 || peers & (1 << bit) != 0);
    let endpoints: Endpoints =
        ports.map(|bit| format!("10.0.0.1:{}", 6443 + bit).parse().unwrap()).collect();
    let name = format!("kube-apiserver{ROTATION_SUFFIX}");
    wanted.clusters.push(Cluster { name, endpoints: Endpoints::default() });
    wanted.clusters.iter_mut().for_each(|cluster| cluster.endpoints.clone_from(&endpoints));
    wanted.map.rotation = endpoints.all().map(|one| one.to_string()).collect();
    wanted
}

#[test]
fn steps_come_in_the_order_in_which_envoy_must_have_them() {
    let world = World::with_identity();
    let mut publisher = world.start_with(ReaderSink::default());
    let push = ["endpoints", "secrets", "clusters", "filter"];
    assert_eq!(publisher.push_recorded(&of_bits(5, 0, true)).unwrap(), push);
    assert!(publisher.push_recorded(&of_bits(5, 0, true)).unwrap().is_empty());
    let joined = publisher.push_recorded(&of_bits(4, 2, true)).unwrap();
    assert_eq!(joined, ["endpoints", "secrets", "clusters", "filter", "endpoints"]);
    world.rotate("front-proxy");
    publisher.configure(&world.settings());
    assert_eq!(publisher.push_recorded(&of_bits(4, 2, true)).unwrap(), ["secrets", "clusters"]);
    publisher.sink.steps.clear();
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(publisher.sink.steps, ["secrets", "clusters", "remove"]);
    assert_eq!((publisher.sink.endpoints.len(), publisher.sink.secrets.len()), (4, 2));
}

#[test]
fn a_push_that_fails_at_any_step_is_finished_by_the_next() {
    let world = World::with_identity();
    for failing in 0..5 {
        let mut publisher = world.start_with(ReaderSink::default());
        publisher.push_recorded(&of_bits(5, 2, true)).unwrap();
        publisher.sink.lasts = Some(failing);
        publisher.push_recorded(&of_bits(6, 4, true)).unwrap_err();
        publisher.sink.lasts = None;
        publisher.push_recorded(&of_bits(6, 4, true)).unwrap();
        for cluster in of_bits(6, 4, true).clusters {
            assert_eq!(publisher.sink.endpoints[&cluster.name], cluster.endpoints);
        }
        publisher.expire(Duration::from_secs(30)).unwrap();
        let named: Vec<_> = publisher.sink.clusters.iter().map(|one| &one.name).collect();
        assert_eq!(named, publisher.sink.endpoints.keys().collect::<Vec<_>>());
        assert_eq!((named.len(), publisher.sink.secrets.len()), (6, 2));
    }
}

#[test]
fn a_map_whose_push_failed_is_replaced_even_by_the_one_before() {
    let world = World::with_identity();
    let mut publisher = world.start_with(ReaderSink::default());
    publisher.push_recorded(&of_bits(2, 0, true)).unwrap();
    publisher.push_recorded(&of_bits(0, 0, true)).unwrap();
    publisher.sink.lasts = Some(4);
    publisher.push_recorded(&of_bits(1, 2, true)).unwrap_err();
    publisher.sink.lasts = None;
    assert_eq!(publisher.sink.steps.last(), Some(&"filter"));
    // Neither of the two maps loses a cluster that it names.
    publisher.expire(Duration::from_secs(30)).unwrap();
    let steps = publisher.push_recorded(&of_bits(0, 0, true)).unwrap();
    assert_eq!(steps, ["endpoints", "secrets", "clusters", "filter"]);
}

#[derive(Clone, Debug)]
enum Event {
    Push { clusters: u8, peers: u8, complete: bool, lasts: Option<usize> },
    Rotate,
    Pass(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let lasts = proptest::option::weighted(0.3, 0..6_usize);
    prop_oneof![
        6 => (0..8_u8, 0..16_u8, any::<bool>(), lasts).prop_map(
            |(clusters, peers, complete, lasts)| Event::Push { clusters, peers, complete, lasts }
        ),
        1 => Just(Event::Rotate),
        2 => (1..31_u64).prop_map(Event::Pass),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// [`ReaderSink::check`] judges after each step.
    #[test]
    fn every_step_leaves_a_consistent_configuration(
        events in proptest::collection::vec(event(), 1..16)
    ) {
        let world = World::with_identity();
        let mut publisher = world.start_with(ReaderSink::default());
        for event in events {
            match event {
                Event::Push { clusters, peers, complete, lasts } => {
                    publisher.sink.lasts = lasts;
                    let pushed = publisher.push_recorded(&of_bits(clusters, peers, complete));
                    publisher.sink.lasts = None;
                    prop_assert!(pushed.is_ok() || lasts.is_some());
                }
                Event::Rotate => {
                    world.rotate("front-proxy");
                    publisher.configure(&world.settings());
                }
                Event::Pass(seconds) => publisher.expire(Duration::from_secs(seconds)).unwrap(),
                Event::Restart => publisher = world.start_with(publisher.sink),
            }
        }
    }
}
