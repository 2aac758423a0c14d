//! The rules of the index, each as a sentence.

mod size;

use discovery_map::{Destination, DiscoveryMap};

use super::*;
use crate::config::Peer;
use crate::facts::Reading;
use api_discovery::{ListedVersion, Listing, Part};

fn config(names: &[&str]) -> Arc<Config> {
    let peers: String = names
        .iter()
        .map(|name| {
            let port: u32 = 1000 + name.bytes().map(u32::from).sum::<u32>();
            format!("  - {{name: {name}, address: '10.0.0.1:{port}'}}\n")
        })
        .collect();
    let yaml = format!(
        "stateDirectory: /s\npeers:\n{peers}peerTls: {{caFile: /ca}}\ncredentials: {{tokenFile: \
         /t}}\nenvoy: {{directory: /e, filterModule: /f, clusterPrefix: all}}\nforgetAfter: 1h\n"
    );
    Arc::new(Config::from_yaml(&yaml).unwrap())
}

/// An index with a clock, told in words.
struct World {
    index: Index,
    config: Arc<Config>,
    now: Duration,
}

impl World {
    fn new(names: &[&str]) -> Self {
        Self::restored(names, Memory::default())
    }

    fn restored(names: &[&str], memory: Memory) -> Self {
        let config = config(names);
        let index = Index::new(Arc::clone(&config), memory);
        Self { index, config, now: Duration::ZERO }
    }

    fn peer(&self, name: &str) -> Peer {
        let mut peers = self.config.peers.iter();
        peers.find(|peer| peer.name.as_str() == name).unwrap().clone()
    }

    fn report(&mut self, name: &str, observation: Observation) -> bool {
        self.report_of(Instant::now(), name, observation)
    }

    fn report_of(&mut self, asked: Instant, name: &str, observation: Observation) -> bool {
        let report = Report { peer: self.peer(name), asked, observation };
        self.index.apply(Event::Reported(report), self.now)
    }

    /// It is ready and serves these, each `group/version/resource`.
    fn serves(&mut self, name: &str, types: &[&str]) -> bool {
        let core = listing(&["/v1/pods"], false);
        let readings = [(Part::Core, listed(core)), (Part::Named, listed(listing(types, false)))];
        self.report(name, Observation::Serving { readings, version: None, open_api: None })
    }

    fn ready_unread(&mut self, name: &str) -> bool {
        let failed = || Reading::Failed("no".to_owned());
        let readings = [(Part::Core, failed()), (Part::Named, failed())];
        self.report(name, Observation::Serving { readings, version: None, open_api: None })
    }

    fn ready_unchanged(&mut self, name: &str) -> bool {
        let readings = [(Part::Core, Reading::Unchanged), (Part::Named, Reading::Unchanged)];
        self.report(name, Observation::Serving { readings, version: None, open_api: None })
    }

    /// Who counts as having served until a moment ago.
    fn just_left(&self) -> Vec<String> {
        let views = self.index.views().into_iter().filter(|view| view.just_left);
        views.map(|view| view.peer.name.to_string()).collect()
    }

    fn not_ready(&mut self, name: &str) -> bool {
        self.report(name, Observation::NotReady { reason: "500".to_owned() })
    }

    fn gone(&mut self, name: &str) -> bool {
        self.report(name, Observation::Unreachable { reason: "refused".to_owned() })
    }

    fn passes(&mut self, time: Duration) -> bool {
        self.now += time;
        self.index.apply(Event::Tick, self.now)
    }

    fn reconfigure(&mut self, names: &[&str]) {
        self.config = config(names);
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    /// Where the map sends a type: a cluster, `unavailable` or `unknown`.
    fn route(&self, target: &str) -> String {
        let snapshot = self.index.snapshot();
        let map = DiscoveryMap::try_from(snapshot.document).unwrap();
        let parts: Vec<_> = target.split('/').map(str::as_bytes).collect();
        match map.resource(parts[0], parts[1], parts[2], None).map(|found| found.destination) {
            None => "unknown".to_owned(),
            Some(Destination::Unavailable) => "unavailable".to_owned(),
            Some(Destination::Default) => "all".to_owned(),
            Some(Destination::Cluster(cluster)) => cluster.to_owned(),
        }
    }

    fn members(&self, cluster: &str) -> Vec<String> {
        let snapshot = self.index.snapshot();
        let found = snapshot.clusters.iter().find(|found| found.name == cluster);
        let endpoints = &found.unwrap_or_else(|| panic!("{:?}", snapshot.clusters)).endpoints;
        let name = |address| {
            let mut peers = self.config.peers.iter();
            peers.find(|peer| peer.address == address).unwrap().name.to_string()
        };
        endpoints.iter().map(|&address| name(address)).collect()
    }

    fn complete(&self) -> bool {
        self.index.snapshot().document.complete
    }

    fn widest(&self) -> Vec<u16> {
        let document = self.index.snapshot().document;
        document.sets[usize::from(document.widest_view)].peers.clone()
    }
}

/// The names alone; documents have tests of their own.
fn listed(listing: Listing) -> Reading {
    Reading::Listed(listing, Box::default())
}

fn listing(types: &[&str], cluster_scoped: bool) -> Listing {
    let mut listing = Listing::default();
    for text in types {
        let (group, rest) = text.split_once('/').unwrap();
        let (version, name) = rest.split_once('/').unwrap();
        let versions = listing.0.entry(group.into()).or_default();
        let listed: &mut ListedVersion = versions.entry(version.into()).or_default();
        let scope =
            if cluster_scoped { &mut listed.cluster_scoped } else { &mut listed.namespaced };
        scope.insert(name.into());
    }
    listing
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_was_asked_earlier_undoes_nothing() {
    let mut world = World::new(&["a"]);
    let early = Instant::now();
    world.serves("a", &["g/v1/old", "g/v1/new"]);
    let readings =
        [(Part::Core, Reading::Unchanged), (Part::Named, listed(listing(&["g/v1/old"], false)))];
    assert!(!world.report_of(early, "a", Observation::Discovered { readings }));
    assert_eq!(world.route("g/v1/new"), "all");
}

#[test]
fn what_every_peer_serves_goes_to_the_default_cluster() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.members("all"), ["a", "b"]);
    assert_eq!(world.route("apps/v1/nosuch"), "unknown");
    assert!(world.complete());
}

#[test]
fn what_some_serve_goes_to_the_cluster_of_those() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.serves("c", &["apps/v1/x", "new/v1/y"]);
    assert_eq!(world.route("new/v1/y"), "all_b_c");
    assert_eq!(world.members("all_b_c"), ["b", "c"]);
    assert_eq!(world.widest(), [1, 2]);
}

#[test]
fn what_only_a_dead_peer_served_is_unavailable_until_it_is_back() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    assert!(world.gone("b"));
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.members("all"), ["a"]);
    assert!(world.complete());
    assert!(world.ready_unchanged("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
}

#[test]
fn a_peer_that_is_not_ready_is_out_of_rotation_and_its_types_are_known() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.not_ready("b");
    assert_eq!(world.members("all"), ["a"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
}

#[test]
fn a_ready_peer_that_was_never_read_is_in_rotation_and_the_map_is_incomplete() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.ready_unread("b");
    assert_eq!(world.members("all"), ["a", "b"]);
    assert_eq!(world.route("apps/v1/x"), "all_a");
    assert!(!world.complete());
}

#[test]
fn a_ready_peer_that_cannot_be_read_now_keeps_what_it_served() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    assert!(!world.ready_unread("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
    assert!(world.complete());
}

#[test]
fn a_peer_that_was_never_reached_leaves_the_map_incomplete_until_it_is_forgotten() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    assert!(!world.complete());
    assert!(!world.passes(HOUR / 2));
    assert!(world.passes(HOUR / 2));
    assert!(world.complete());
}

#[test]
fn a_dead_peer_is_forgotten_after_the_configured_time_and_known_again_when_it_is_back() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["new/v1/y"]);
    world.gone("b");
    world.passes(HOUR);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert!(world.index.statuses()[1].forgotten);
    assert!(world.ready_unchanged("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
}

#[test]
fn a_peer_has_just_left_for_some_seconds_if_it_ever_served() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/deployments"]);
    world.serves("b", &["apps/v1/deployments"]);
    world.gone("c");
    assert!(world.just_left().is_empty(), "none has left");
    world.not_ready("b");
    assert_eq!(world.just_left(), ["b"]);
    world.gone("b");
    world.passes(Duration::from_secs(4));
    assert_eq!(world.just_left(), ["b"]);
    world.passes(Duration::from_secs(1));
    assert!(world.just_left().is_empty(), "all have seen what it had seen");
    world.serves("b", &["apps/v1/deployments"]);
    assert!(world.just_left().is_empty(), "it is back");
    world.gone("b");
    assert_eq!(world.just_left(), ["b"]);
}

#[test]
fn when_nobody_serves_the_last_rotation_stays_and_nothing_is_forgotten() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.gone("c");
    world.gone("a");
    let before = world.index.snapshot();
    world.not_ready("b");
    let after = world.index.snapshot();
    assert!(after.frozen && !before.frozen);
    assert_eq!(after.clusters, before.clusters);
    assert_eq!(after.document.groups, before.document.groups);
    world.passes(HOUR * 2);
    assert_eq!(world.route("new/v1/y"), "all");
    world.ready_unchanged("a");
    assert!(!world.index.snapshot().frozen);
    assert_eq!(world.members("all"), ["a"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
}

#[test]
fn before_anything_is_known_every_peer_is_in_the_default_cluster() {
    let mut world = World::new(&["a", "b"]);
    world.gone("a");
    assert!(!world.index.all_asked());
    world.gone("b");
    assert!(world.index.all_asked());
    assert_eq!(world.members("all"), ["a", "b"]);
    assert!(!world.complete());
    let document = world.index.snapshot().document;
    assert!(DiscoveryMap::try_from(document).is_ok());
}

#[test]
fn a_peer_removed_from_the_configuration_takes_its_types_along() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.reconfigure(&["a"]);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert_eq!(world.members("all"), ["a"]);
    world.reconfigure(&["a", "c"]);
    assert!(!world.complete());
    assert_eq!(world.route("apps/v1/x"), "all");
}

#[test]
fn an_inconclusive_round_changes_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    let before = world.index.snapshot();
    assert!(!world.report("b", Observation::Inconclusive { reason: "slow".to_owned() }));
    assert_eq!(world.index.snapshot(), before);
    assert_eq!(world.index.statuses()[1].last_error.as_deref(), Some("slow"));
}

#[test]
fn the_same_knowledge_is_the_same_snapshot_whatever_the_order() {
    let mut one = World::new(&["a", "b", "c"]);
    let mut other = World::new(&["a", "b", "c"]);
    let types: [(&str, &[&str]); 3] =
        [("a", &["g/v1/x"]), ("b", &["g/v1/x", "g/v1/y"]), ("c", &["g/v1/y", "h/v1/z"])];
    for (name, types) in types {
        one.serves(name, types);
    }
    for (name, types) in types.into_iter().rev() {
        other.serves(name, types);
    }
    assert_eq!(one.index.snapshot(), other.index.snapshot());
    assert!(!one.serves("a", &["g/v1/x"]));
}

#[test]
fn the_widest_view_is_of_the_peers_with_most_types_then_of_the_first_name() {
    let mut world = World::new(&["b", "a", "c"]);
    world.serves("a", &["g/v1/x"]);
    world.serves("b", &["g/v1/y"]);
    world.serves("c", &["g/v1/x"]);
    assert_eq!(world.widest(), [1, 2]);
    world.serves("b", &["g/v1/y", "g/v1/z"]);
    assert_eq!(world.widest(), [0]);
    world.gone("b");
    assert_eq!(world.widest(), [1, 2]);
}

#[test]
fn where_scopes_disagree_the_peers_in_rotation_count() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["g/v1/x"]);
    world.gone("a");
    let readings = [
        (Part::Core, listed(listing(&["/v1/pods"], false))),
        (Part::Named, listed(listing(&["g/v1/x"], true))),
    ];
    world.report("b", Observation::Serving { readings, version: None, open_api: None });
    assert_eq!(world.route("g/v1/x"), "all");
    let document = world.index.snapshot().document;
    let by_set = &document.groups["g"].0["v1"].0;
    let resources: Vec<_> = by_set.values().flat_map(|r| &r.cluster_scoped).collect();
    assert_eq!(resources, ["x"]);
}

#[test]
fn a_restarted_companion_knows_what_it_knew() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.gone("b");
    world.passes(HOUR / 2);
    let before = world.index.snapshot();
    let json = serde_json::to_string(&before.memory).unwrap();
    let memory = serde_json::from_str(&json).unwrap();

    let mut world = World::restored(&["a", "b"], memory);
    world.gone("b");
    world.ready_unread("a");
    assert_eq!(world.index.snapshot().document, before.document);
    world.passes(HOUR / 2);
    assert_eq!(world.route("new/v1/y"), "unknown", "half the time had passed before");
}

#[test]
fn a_restarted_companion_that_reaches_nobody_keeps_the_rotation_of_before() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    let before = world.index.snapshot();
    let mut world = World::restored(&["a", "b"], before.memory);
    world.gone("a");
    world.gone("b");
    assert_eq!(world.members("all"), ["a"]);
    assert!(world.index.snapshot().frozen);
}

#[test]
fn a_peer_with_another_address_is_another_peer() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["new/v1/y"]);
    let mut memory = world.index.snapshot().memory;
    memory.peers[1].address.set_port(1);
    let world = World::restored(&["a", "b"], memory);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert!(!world.complete());
}

fn names(user: &str) -> RequestHeaders {
    RequestHeaders { username_headers: vec![user.parse().unwrap()], ..RequestHeaders::default() }
}

#[test]
fn the_clusters_own_header_names_go_first_and_no_configured_one_is_lost() {
    let mut world = World::new(&["a"]);
    let username = |world: &World| world.index.snapshot().document.identity.username_headers;
    assert_eq!(username(&world), ["x-remote-user"]);
    let read = Event::RequestHeaders(Some(names("X-User")));
    assert!(world.index.apply(read, Duration::ZERO));
    assert_eq!(username(&world), ["x-user", "x-remote-user"]);
    assert!(!world.index.apply(Event::RequestHeaders(None), Duration::ZERO), "they stay");
    assert!(!world.index.apply(Event::RequestHeaders(Some(names("x-user"))), Duration::ZERO));
    assert_eq!(username(&world), ["x-user", "x-remote-user"]);
    let again = World::restored(&["a"], world.index.snapshot().memory);
    assert_eq!(username(&again), ["x-user", "x-remote-user"], "over a restart");
    assert!(DiscoveryMap::try_from(again.index.snapshot().document).is_ok());
}

#[test]
fn with_a_front_proxy_a_start_waits_for_the_header_names() {
    let mut world = World::new(&["a"]);
    let mut config = (*world.config).clone();
    config.front_proxy = Some(crate::certificates::KeyPairFiles {
        certificate_file: "/c".into(),
        key_file: "/k".into(),
    });
    world.config = Arc::new(config);
    world.index.apply(Event::Configured(Arc::clone(&world.config)), Duration::ZERO);
    world.serves("a", &[]);
    assert!(!world.index.all_asked());
    assert!(world.index.snapshot().document.identity.front_proxy);
    world.index.apply(Event::RequestHeaders(None), Duration::ZERO);
    assert!(world.index.all_asked());
    let known = Memory { request_headers: Some(names("x-user")), ..Memory::default() };
    let mut world = World::restored(&["a"], known);
    world.serves("a", &[]);
    assert!(world.index.all_asked());
}
