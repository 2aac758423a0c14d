//! An index with a clock, told in words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{Group, GroupNames, Listing, Named, Part, ServerVersion, Types, Version};
use discovery_map::{Destination, DiscoveryMap, Mode, Verb};

use crate::config::{AnsweringPolicy, Config, Peer, SkewPolicy};
use crate::facts::{Observation, Reading, Report, Roster};
use crate::index::watch::STEADY;
use crate::index::{Event, Index, Memory};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

fn config() -> Arc<Config> {
    let yaml = "stateDirectory: /s\npeers: {static: [{name: x, address: '10.0.0.1:1'}]}\n\
                peerTls: {caFile: /ca}\ncredentials: {tokenFile: /t}\nenvoy: {directory: /e, \
                filterModule: /f, clusterPrefix: all}\nforgetAfter: 1h\n";
    Arc::new(Config::from_yaml(yaml).unwrap())
}

/// Peers that a person listed; each name has its own address.
fn roster(names: &[&str]) -> Roster {
    let peer = |name: &&str| {
        let port: u32 = 1000 + name.bytes().map(u32::from).sum::<u32>();
        Peer { name: name.parse().unwrap(), address: format!("10.0.0.1:{port}").parse().unwrap() }
    };
    Roster { peers: names.iter().map(peer).collect(), by_hand: true, fresh: true }
}

/// An index with a clock, told in words.
pub(super) struct World {
    pub(super) index: Index,
    pub(super) config: Arc<Config>,
    pub(super) roster: Roster,
    pub(super) now: Duration,
}

impl World {
    pub(super) fn new(names: &[&str]) -> Self {
        Self::restored(names, Memory::default())
    }

    pub(super) fn restored(names: &[&str], memory: Memory) -> Self {
        Self::restored_with(roster(names), memory)
    }

    /// With peers of a source that nobody edits, and from which none left before.
    pub(super) fn sourced(names: &[&str]) -> Self {
        let trusting = Config { trust_first_peers: true, ..(*config()).clone() };
        let mut world = Self::first(trusting, names);
        world.passes(STEADY);
        world
    }

    /// A companion that knows nothing: its source has these now.
    pub(super) fn without_state(names: &[&str]) -> Self {
        Self::first((*config()).clone(), names)
    }

    fn first(config: Config, names: &[&str]) -> Self {
        let (config, memory) = (Arc::new(config), Memory::default());
        let roster = memory.roster();
        let index = Index::new(Arc::clone(&config), &roster, memory);
        let mut world = Self { index, config, roster, now: Duration::ZERO };
        world.source_has(names);
        world
    }

    /// The source has these now.
    pub(super) fn source_has(&mut self, names: &[&str]) {
        self.follow(Roster { by_hand: false, ..roster(names) });
    }

    /// The source says nothing now.
    pub(super) fn source_fails(&mut self) {
        self.follow(Roster { fresh: false, ..self.roster.clone() });
    }

    /// With what a source has.
    pub(super) fn restored_with(roster: Roster, memory: Memory) -> Self {
        let config = config();
        let index = Index::new(Arc::clone(&config), &roster, memory);
        Self { index, config, roster, now: Duration::ZERO }
    }

    pub(super) fn peer(&self, name: &str) -> Peer {
        let mut peers = self.roster.peers.iter();
        peers.find(|peer| peer.name.as_str() == name).unwrap().clone()
    }

    pub(super) fn report(&mut self, name: &str, observation: Observation) -> bool {
        let report = Report { peer: self.peer(name), observation };
        self.index.apply(Event::Reported(report), self.now)
    }

    /// It is ready and serves these, each `group/version/resource`.
    pub(super) fn serves(&mut self, name: &str, types: &[&str]) -> bool {
        self.serves_as(name, listed(types))
    }

    /// It is ready, and reading `/apis` ended like this.
    pub(super) fn serves_as(&mut self, name: &str, named: Reading<Listing>) -> bool {
        self.ready(name, [listed(&["/v1/pods"]), named], None)
    }

    /// The same, and its minor version was read.
    pub(super) fn serves_as_version(&mut self, name: &str, minor: &str, types: &[&str]) -> bool {
        self.emulates(name, minor, minor, types)
    }

    /// The same of a server whose binary has another version.
    pub(super) fn emulates(
        &mut self,
        name: &str,
        binary: &str,
        minor: &str,
        types: &[&str],
    ) -> bool {
        let binary = ServerVersion::of_binary(format!("v{binary}.1").into());
        let version = ServerVersion { minor: Some(minor.parse().unwrap()), ..binary };
        self.ready(name, [listed(&["/v1/pods"]), listed(types)], Some(version))
    }

    pub(super) fn ready_unread(&mut self, name: &str) -> bool {
        self.ready(name, [(); 2].map(|()| Reading::Failed("no".to_owned())), None)
    }

    pub(super) fn ready_unchanged(&mut self, name: &str) -> bool {
        self.ready(name, [Reading::Unchanged, Reading::Unchanged], None)
    }

    fn ready(
        &mut self,
        name: &str,
        [core, named]: [Reading<Listing>; 2],
        version: Option<ServerVersion>,
    ) -> bool {
        let readings = [(Part::Core, core), (Part::Named, named)];
        let open_api = Reading::Unchanged;
        self.report(name, Observation::Serving { readings, version, open_api })
    }

    /// Returns whether a peer counts as having served until a moment ago.
    pub(super) fn just_left(&mut self) -> bool {
        self.index.snapshot().map.just_left
    }

    pub(super) fn not_ready(&mut self, name: &str) -> bool {
        self.report(name, Observation::NotReady { reason: "500".to_owned() })
    }

    pub(super) fn gone(&mut self, name: &str) -> bool {
        self.unreachable(name, true)
    }

    /// It cannot be reached, for whatever reason or because nobody listens.
    pub(super) fn unreachable(&mut self, name: &str, refused: bool) -> bool {
        let reason = "why".to_owned();
        self.report(name, Observation::Unreachable { reason, refused })
    }

    pub(super) fn passes(&mut self, time: Duration) -> bool {
        self.now += time;
        self.index.apply(Event::Tick, self.now)
    }

    pub(super) fn passes_seconds(&mut self, seconds: u64) -> bool {
        self.passes(Duration::from_secs(seconds))
    }

    pub(super) fn set_policy(&mut self, policy: AnsweringPolicy) {
        Arc::make_mut(&mut self.config).answering_version = policy;
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    pub(super) fn set_skew_policy(&mut self, policy: SkewPolicy) {
        Arc::make_mut(&mut self.config).skew_policy = policy;
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    pub(super) fn set_fixed_clusters(&mut self) {
        Arc::make_mut(&mut self.config).envoy.fixed_clusters = true;
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    pub(super) fn set_mode(&mut self, mode: Mode) {
        Arc::make_mut(&mut self.config).mode = mode;
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    pub(super) fn set_local(&mut self, name: &str) {
        let peers = self.index.statuses();
        let address = peers.iter().find(|peer| peer.name == name).map(|peer| peer.address);
        Arc::make_mut(&mut self.config).local_peer = address;
        self.index.apply(Event::Configured(Arc::clone(&self.config)), self.now);
    }

    pub(super) fn reconfigure(&mut self, names: &[&str]) {
        self.follow(roster(names));
    }

    pub(super) fn follow(&mut self, roster: Roster) {
        self.roster = roster;
        self.index.apply(Event::Peers(Arc::new(self.roster.clone())), self.now);
    }

    /// Where the map sends a type: a cluster, `unavailable` or `unknown`.
    pub(super) fn route(&mut self, target: &str) -> String {
        self.route_by(None, target)
    }

    /// Returns where the map sends requests with a verb.
    pub(super) fn route_by(&mut self, verb: Option<Verb>, target: &str) -> String {
        let snapshot = self.index.snapshot();
        let map = DiscoveryMap::try_from(snapshot.map).unwrap();
        let parts: Vec<_> = target.split('/').map(str::as_bytes).collect();
        let found = map.resource(parts[0], parts[1], parts[2], parts.get(3).copied());
        match found.map(|found| map.narrowed(found, || verb).destination) {
            None => "unknown".to_owned(),
            Some(Destination::Unavailable) => "unavailable".to_owned(),
            Some(Destination::Default) => "all".to_owned(),
            Some(Destination::Cluster(cluster)) => cluster.to_owned(),
        }
    }

    /// Returns where the map sends a request for a version's document.
    pub(super) fn version(&mut self, group_version: &str) -> String {
        let map = DiscoveryMap::try_from(self.index.snapshot().map).unwrap();
        let (group, version) = group_version.split_once('/').unwrap();
        match map.group_version(group.as_bytes(), version.as_bytes()) {
            Some(Destination::Cluster(cluster)) => cluster.to_owned(),
            other => format!("{other:?}"),
        }
    }

    pub(super) fn members(&mut self, cluster: &str) -> Vec<String> {
        self.levels(cluster).concat()
    }

    /// Returns the peers that answer what all can answer.
    pub(super) fn answering(&self) -> Vec<String> {
        let peers = self.index.statuses().into_iter().filter(|peer| peer.answering);
        peers.map(|peer| peer.name).collect()
    }

    /// Returns the peers of a cluster, those that answer first.
    pub(super) fn levels(&mut self, cluster: &str) -> Vec<Vec<String>> {
        let snapshot = self.index.snapshot();
        let found = snapshot.clusters.iter().find(|found| found.name == cluster);
        let endpoints = &found.unwrap_or_else(|| panic!("{:?}", snapshot.clusters)).endpoints;
        let peers = self.index.statuses();
        let name =
            |address| peers.iter().find(|peer| peer.address == address).unwrap().name.clone();
        let levels = endpoints.levels().iter();
        levels.map(|level| level.iter().copied().map(name).collect()).collect()
    }

    pub(super) fn complete(&mut self) -> bool {
        self.index.snapshot().map.complete
    }

    pub(super) fn widest(&mut self) -> Vec<u16> {
        let document = self.index.snapshot().map;
        document.sets[usize::from(document.widest_view)].peers.clone()
    }
}

/// Types as [`listed`]; those of versions in `stale`, each `group/version`, are stale.
pub(super) fn listed_stale(types: &[&str], stale: &[&str]) -> Reading<Listing> {
    let Reading::Read(listing) = listed(types) else { panic!("not read") };
    let mut groups: Vec<Group> = listing.into();
    for group in &mut groups {
        let GroupNames { name, versions } = Arc::make_mut(&mut group.names);
        for version in versions {
            version.stale = stale.contains(&&*format!("{name}/{}", version.name));
        }
    }
    Reading::Read(groups.into())
}

/// Types, each `group/version/resource`, or `group/version/resource:verb,verb`. Documents have
/// tests of their own.
pub(super) fn listed(types: &[&str]) -> Reading<Listing> {
    listed_in(types, false)
}

pub(super) fn listed_in(types: &[&str], cluster_scoped: bool) -> Reading<Listing> {
    let mut groups = BTreeMap::<_, BTreeMap<_, Named>>::new();
    for text in types {
        let (text, verbs) = text.split_once(':').unwrap_or((text, ""));
        let verbs = verbs.split(',').filter_map(Verb::from_name).collect();
        let (group, rest) = text.split_once('/').unwrap();
        let (version, name) = rest.split_once('/').unwrap();
        groups.entry(group).or_default().entry(version).or_default().insert(name.into(), verbs);
    }
    let group = |(name, versions): (&str, BTreeMap<&str, Named>)| {
        let version = |(name, names): (&str, Named)| {
            let (namespaced, cluster_scoped) =
                if cluster_scoped { (Named::new(), names) } else { (names, Named::new()) };
            let types = Types::new(namespaced, cluster_scoped);
            Version { name: name.into(), types, stale: false }
        };
        let versions = versions.into_iter().map(version).collect();
        let names = GroupNames { name: name.into(), versions };
        Group { names: Arc::new(names), text: None }
    };
    Reading::Read(groups.into_iter().map(group).collect::<Vec<_>>().into())
}
