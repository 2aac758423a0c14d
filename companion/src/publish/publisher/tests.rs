//! What is on disk after each step, and after a crash at each step.

mod fixed;
mod identity;
mod reader_sink;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use discovery_map::{
    DiscoveryMap, FRONT_PROXY_SUFFIX, IdentityHeaders, PeerEntry, PeerState, ROTATION_SUFFIX,
    SetEntry,
};
use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::index::{Cluster, Memory};
use crate::publish::FileSink;
use crate::xds;

struct World {
    directory: tempfile::TempDir,
    config: Arc<Config>,
}

/// A certificate and its key (PEM).
fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let yaml = format!(
            "stateDirectory: {root}/state\npeers: {{static: [{{name: a, address: '10.0.0.1:6443'}}]}}\n\
             peerTls: {{caFile: {root}/ca}}\ncredentials: {{tokenFile: /t}}\n\
             envoy: {{directory: {root}/envoy, filterModule: /filter.wasm}}\n"
        );
        fs::write(directory.path().join("ca"), pair().0).unwrap();
        Self { config: Arc::new(Config::from_yaml(&yaml).unwrap()), directory }
    }

    /// A publisher as a companion that starts now has it.
    fn start(&self) -> Publisher<FileSink> {
        self.start_with(FileSink::open(self.config.envoy.directory.as_deref().unwrap()).unwrap())
    }

    fn start_with<S: Sink>(&self, sink: S) -> Publisher<S> {
        let store = Store::open(&self.config.state_directory).unwrap();
        let state = store.load().unwrap();
        Publisher::new(&self.settings(), store, &state, sink)
    }

    fn settings(&self) -> Settings {
        Settings::read(Arc::clone(&self.config)).unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("envoy").join(file)
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap()
    }

    fn cluster_names(&self) -> Vec<String> {
        let response = self.json("cds.json");
        let resources = response["resources"].as_array().unwrap();
        resources.iter().map(|cluster| cluster["name"].as_str().unwrap().to_owned()).collect()
    }

    fn endpoint_files(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.path("eds")).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn map(&self) -> DiscoveryMap {
        let response = self.json("ecds.json");
        let map = response.pointer(xds::MAP).unwrap().as_str().unwrap();
        DiscoveryMap::from_json(map.as_bytes()).unwrap()
    }
}

/// A snapshot with the default cluster and, if asked for, one more.
fn snapshot(extra: Option<&str>, complete: bool) -> Snapshot {
    let names = ["kube-apiserver"].into_iter().chain(extra);
    let sets = names.clone().enumerate().map(|(index, name)| SetEntry {
        peers: if index == 0 { vec![0, 1] } else { vec![1] },
        cluster: Some(name.to_owned()),
        at_least: Default::default(),
    });
    let entry =
        |name: &str| PeerEntry { name: name.to_owned(), state: PeerState::Serving, version: None };
    Snapshot {
        map: MapDocument {
            schema_version: discovery_map::SCHEMA_VERSION,
            generation: 1,
            complete,
            mode: discovery_map::Mode::Enforce,
            decision_header_groups: Vec::new(),
            default_cluster: "kube-apiserver".to_owned(),
            identity: IdentityHeaders::default(),
            peers: vec![entry("a"), entry("b")],
            rotation: Vec::new(),
            just_left: false,
            sets: sets.collect(),
            widest_view: 0,
            groups: BTreeMap::new(),
            documents: Vec::new(),
            open_api: discovery_map::OpenApi::default(),
            verbs: Default::default(),
            strict_not_found: discovery_map::Ignored,
        },
        clusters: names
            .map(|name| Cluster {
                name: name.to_owned(),
                endpoints: ["10.0.0.1:6443".parse().unwrap()].into_iter().collect(),
            })
            .collect(),
        conflicts: BTreeSet::new(),
        oversized: Vec::new(),
        open_api_merges: Vec::new(),
        frozen: false,
        memory: Memory::default(),
    }
}

fn generation(published: Option<Publication>) -> u64 {
    published.unwrap().map.generation
}

#[test]
fn every_push_has_a_greater_generation_and_an_unchanged_map_is_not_pushed() {
    let world = World::new();
    let mut publisher = world.start();
    let first = generation(publisher.push(&snapshot(None, true)).unwrap());
    assert_eq!(world.map().generation, first);
    assert_eq!(world.json("ecds.json")["version_info"], first.to_string());
    assert!(publisher.push(&snapshot(None, true)).unwrap().is_none());
    let second = generation(publisher.push(&snapshot(None, false)).unwrap());
    assert_eq!(second, first + 1);
}

#[test]
fn generations_grow_over_a_restart_whatever_is_left() {
    let world = World::new();
    let first = generation(world.start().push(&snapshot(None, true)).unwrap());
    let second = generation(world.start().push(&snapshot(None, true)).unwrap());
    assert!(second > first);
    fs::remove_file(world.directory.path().join("state/state.json")).unwrap();
    let third = generation(world.start().push(&snapshot(None, true)).unwrap());
    assert!(third > second, "from the clock");
    fs::remove_dir_all(world.directory.path().join("envoy")).unwrap();
    let fourth = generation(world.start().push(&snapshot(None, true)).unwrap());
    assert!(fourth > third, "from the state");
    fs::remove_dir_all(world.directory.path().join("envoy")).unwrap();
    fs::remove_dir_all(world.directory.path().join("state")).unwrap();
    let fifth = generation(world.start().push(&snapshot(None, true)).unwrap());
    assert!(fifth >= first, "from the clock");
}

#[test]
fn a_cluster_goes_only_some_time_after_the_last_map_that_named_it() {
    let world = World::new();
    let mut publisher = world.start();
    publisher.push(&snapshot(Some("kube-apiserver_b"), true)).unwrap();
    publisher.push(&snapshot(None, true)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver", "kube-apiserver_b"]);
    publisher.expire(Duration::from_secs(29)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver", "kube-apiserver_b"]);
    let map = world.map().generation;
    publisher.expire(Duration::from_secs(1)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver"]);
    assert_eq!(world.endpoint_files().len(), 1);
    assert_eq!(world.map().generation, map, "the map did not change");
}

#[test]
fn a_cluster_that_is_named_again_stays() {
    let world = World::new();
    let mut publisher = world.start();
    let with = snapshot(Some("kube-apiserver_b"), true);
    publisher.push(&with).unwrap();
    publisher.push(&snapshot(None, true)).unwrap();
    publisher.expire(Duration::from_secs(29)).unwrap();
    publisher.push(&with).unwrap();
    publisher.expire(Duration::from_secs(60)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver", "kube-apiserver_b"]);
}

#[test]
fn a_restarted_companion_keeps_the_clusters_that_it_finds_for_the_whole_time() {
    let world = World::new();
    world.start().push(&snapshot(Some("kube-apiserver_b"), true)).unwrap();
    let before = world.json("eds/kube-apiserver_b.json");
    let mut publisher = world.start();
    publisher.push(&snapshot(None, true)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver", "kube-apiserver_b"]);
    assert_eq!(world.json("eds/kube-apiserver_b.json"), before);
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver"]);
}

#[test]
fn an_invalid_map_is_refused_before_anything_is_written() {
    let world = World::new();
    let mut publisher = world.start();
    publisher.push(&snapshot(None, true)).unwrap();
    let before = fs::read(world.path("ecds.json")).unwrap();
    let mut broken = snapshot(Some("kube-apiserver_b"), true);
    broken.map.widest_view = 9;
    assert!(matches!(publisher.push(&broken), Err(PublishError::InvalidMap(_))));
    assert_eq!(fs::read(world.path("ecds.json")).unwrap(), before);
    assert_eq!(world.cluster_names(), ["kube-apiserver"]);
}

#[test]
fn a_push_that_could_not_be_finished_is_finished_by_the_next() {
    let world = World::new();
    let mut publisher = world.start();
    publisher.push(&snapshot(None, true)).unwrap();
    let map = world.map().generation;
    // The temporary file of the map cannot be made: a directory has its name.
    fs::create_dir(world.path(".ecds.json.new")).unwrap();
    let next = snapshot(Some("kube-apiserver_b"), true);
    assert!(matches!(publisher.push(&next), Err(PublishError::Disk(_))));
    assert_eq!(world.map().generation, map, "the last good map is there");
    assert_eq!(world.cluster_names(), ["kube-apiserver", "kube-apiserver_b"]);
    fs::remove_dir(world.path(".ecds.json.new")).unwrap();
    publisher.push(&next).unwrap().expect("published");
    assert!(world.map().generation > map);
}

#[test]
fn damaged_files_are_written_anew_with_a_greater_generation() {
    let world = World::new();
    let mut publisher = world.start();
    let pushed = snapshot(Some("kube-apiserver_b"), true);
    publisher.push(&pushed).unwrap();
    let before = world.map().generation;
    for file in ["ecds.json", "cds.json", "eds/kube-apiserver_b.json"] {
        fs::write(world.path(file), "{").unwrap();
        assert_eq!(publisher.damaged(), [world.path(file).display().to_string()]);
        publisher.push_again(&pushed).unwrap().expect("published");
        assert!(publisher.damaged().is_empty());
        assert!(world.json(file).get("version_info").is_some());
    }
    assert!(world.map().generation > before);
}

#[test]
fn a_changed_filter_is_pushed_with_the_same_map() {
    let world = World::new();
    let mut publisher = world.start();
    publisher.push(&snapshot(None, true)).unwrap();
    let mut settings = world.settings();
    let mut config = (*world.config).clone();
    config.envoy.filter_module = "/next.wasm".into();
    settings.config = Arc::new(config);
    publisher.configure(&settings);
    assert!(publisher.push(&snapshot(None, true)).unwrap().is_some());
    assert!(world.json("ecds.json").to_string().contains("/next.wasm"));
}

#[test]
fn a_push_changes_only_the_map() {
    let world = World::new();
    let mut publisher = world.start();
    let mut without_map = BTreeSet::new();
    for complete in [true, false, true] {
        publisher.push(&snapshot(None, complete)).unwrap();
        let mut response = world.json("ecds.json");
        response["version_info"] = Value::Null;
        *response.pointer_mut(xds::MAP).unwrap() = Value::Null;
        without_map.insert(response.to_string());
    }
    assert_eq!(without_map.len(), 1);
}

#[test]
fn an_endpoint_leaves_before_the_map_changes_and_joins_after_it_has() {
    let world = World::new();
    let mut publisher = world.start();
    let with = |endpoints: &[&str], complete| {
        let mut snapshot = snapshot(None, complete);
        let endpoints = endpoints.iter().map(|address| address.parse().unwrap());
        snapshot.clusters[0].endpoints = endpoints.collect();
        snapshot
    };
    publisher.push(&with(&["10.0.0.1:1", "10.0.0.2:2"], true)).unwrap();
    // The map cannot be written: everything before it is there, nothing after.
    fs::create_dir(world.path(".ecds.json.new")).unwrap();
    let next = with(&["10.0.0.2:2", "10.0.0.3:3"], false);
    assert!(publisher.push(&next).is_err());
    let endpoints = world.json("eds/kube-apiserver.json").to_string();
    assert!(!endpoints.contains("10.0.0.1") && !endpoints.contains("10.0.0.3"), "{endpoints}");
    fs::remove_dir(world.path(".ecds.json.new")).unwrap();
    publisher.push(&next).unwrap().expect("published");
    let endpoints = world.json("eds/kube-apiserver.json").to_string();
    assert!(endpoints.contains("10.0.0.2") && endpoints.contains("10.0.0.3"), "{endpoints}");
}
