//! Secrets, and the clusters that present a certificate.

use std::os::unix::fs::MetadataExt;

use super::*;

impl World {
    /// With a certificate for the listener and one for the front proxy.
    pub(super) fn with_identity() -> Self {
        let mut world = Self::new();
        world.rotate("front-proxy");
        world.rotate("listener");
        let root = world.directory.path();
        let files = |name: &str| crate::certificates::KeyPairFiles {
            certificate_file: root.join(format!("{name}.crt")),
            key_file: root.join(format!("{name}.key")),
        };
        let mut config = (*world.config).clone();
        config.front_proxy = Some(files("front-proxy"));
        config.listener_tls = Some(files("listener"));
        config.client_ca_file = Some(root.join("ca"));
        world.config = Arc::new(config);
        world
    }

    pub(super) fn rotate(&self, name: &str) {
        let (certificate, key) = pair();
        fs::write(self.directory.path().join(format!("{name}.crt")), certificate).unwrap();
        fs::write(self.directory.path().join(format!("{name}.key")), key).unwrap();
    }

    fn without_front_proxy(&self) -> Settings {
        let mut config = (*self.config).clone();
        config.front_proxy = None;
        config.client_ca_file = None;
        Settings::read(Arc::new(config)).unwrap()
    }

    fn secret_files(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("sds")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// The secrets that each cluster of `cds.json` names: that it presents and
    /// that it verifies the peers by.
    fn named_secrets(&self) -> BTreeMap<String, (Option<String>, String)> {
        let response = self.json("cds.json");
        let resources = response["resources"].as_array().unwrap();
        let secret = |cluster: &Value, place: &str| {
            let source = cluster
                .pointer("/transport_socket/typed_config/common_tls_context")
                .and_then(|tls| tls.pointer(place))?;
            let name = source["name"].as_str().unwrap().to_owned();
            let path = source["sds_config"]["path_config_source"]["path"].as_str().unwrap();
            let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            assert_eq!(file["resources"][0]["name"], *name, "it is there, under this name");
            Some(name)
        };
        let entry = |cluster: &Value| {
            let present = secret(cluster, "/tls_certificate_sds_secret_configs/0");
            let verify = "/combined_validation_context/validation_context_sds_secret_config";
            let name = cluster["name"].as_str().unwrap().to_owned();
            (name, (present, secret(cluster, verify).unwrap()))
        };
        resources.iter().map(entry).collect()
    }
}

fn carried(extra: Option<&str>) -> Snapshot {
    let mut snapshot = snapshot(extra, true);
    snapshot.map.identity.front_proxy = true;
    snapshot
}

const TWIN: &str = "kube-apiserver__front-proxy";

#[test]
fn each_cluster_has_a_twin_that_alone_presents_the_certificate() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.push(&carried(Some("kube-apiserver_b"))).unwrap();
    let names = ["kube-apiserver", TWIN, "kube-apiserver_b", "kube-apiserver_b__front-proxy"];
    assert_eq!(world.cluster_names(), names);
    let settings = world.settings();
    let peer_ca = xds::peer_ca_name(None, &settings.secrets.peer_ca);
    let front_proxy = xds::front_proxy_name(settings.secrets.front_proxy.as_ref().unwrap());
    for (name, (present, verify)) in world.named_secrets() {
        let expected = name.ends_with(FRONT_PROXY_SUFFIX).then_some(&front_proxy);
        assert_eq!((present.as_ref(), &verify), (expected, &peer_ca), "{name}");
    }
    let endpoints =
        |name| world.json(&format!("eds/{name}.json"))["resources"][0]["endpoints"].clone();
    assert_eq!(endpoints("kube-apiserver"), endpoints(TWIN));
    assert!(world.map().identity.front_proxy);
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.write_listener().unwrap();
    publisher.push(&carried(None)).unwrap();
    let files = world.secret_files();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let path = world.path("sds").join(file);
        let has_key = fs::read_to_string(&path).unwrap().contains("PRIVATE KEY");
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(has_key, mode == 0o600, "{}: {mode:o}", path.display());
        assert_eq!(
            has_key,
            path.to_string_lossy().contains("front-proxy-") || path.ends_with("listener.json")
        );
    }
}

#[test]
fn a_rotated_certificate_makes_the_clusters_anew_and_not_the_map() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.push(&carried(None)).unwrap();
    let (map, secrets) = (fs::read(world.path("ecds.json")).unwrap(), world.named_secrets());
    world.rotate("front-proxy");
    publisher.configure(&world.settings());
    // The clusters cannot be written: the secret that they will name is there.
    fs::create_dir(world.path(".cds.json.new")).unwrap();
    assert!(publisher.push(&carried(None)).is_err());
    assert_eq!(world.named_secrets(), secrets);
    assert_eq!(world.secret_files().len(), 3);
    fs::remove_dir(world.path(".cds.json.new")).unwrap();
    assert!(publisher.push(&carried(None)).unwrap().is_none(), "no new map");
    assert_eq!(fs::read(world.path("ecds.json")).unwrap(), map);
    let rotated = world.named_secrets();
    assert_ne!(rotated[TWIN].0, secrets[TWIN].0);
    assert_eq!(rotated["kube-apiserver"], secrets["kube-apiserver"]);
    assert!(publisher.push(&carried(None)).unwrap().is_none());
    publisher.expire(Duration::from_secs(29)).unwrap();
    assert_eq!(world.secret_files().len(), 3);
    publisher.expire(Duration::from_secs(1)).unwrap();
    assert_eq!(world.secret_files().len(), 2);
    assert_eq!(world.named_secrets(), rotated);
    assert!(publisher.damaged().is_empty());
}

#[test]
fn a_rotated_peer_ca_makes_all_clusters_anew() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.push(&carried(None)).unwrap();
    let before = world.named_secrets();
    fs::write(world.directory.path().join("ca"), pair().0).unwrap();
    publisher.configure(&world.settings());
    publisher.push(&carried(None)).unwrap();
    for (name, (present, verify)) in world.named_secrets() {
        assert_eq!(present, before[&name].0);
        assert_ne!(verify, before[&name].1);
    }
}

#[test]
fn the_listeners_secrets_wait_for_no_snapshot_and_change_in_place() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.write_listener().unwrap();
    let before = world.json("sds/listener.json");
    assert_eq!(before["resources"][0]["name"], "listener");
    let ca = world.json("sds/client-ca.json");
    let ca = ca.pointer("/resources/0/validation_context/trusted_ca/inline_string").unwrap();
    assert!(ca.as_str().unwrap().contains("BEGIN CERTIFICATE"));
    world.rotate("listener");
    publisher.configure(&world.settings());
    publisher.write_listener().unwrap();
    assert_ne!(world.json("sds/listener.json"), before);
    // Nobody is to be believed any more: that must be said.
    publisher.configure(&world.without_front_proxy());
    publisher.write_listener().unwrap();
    let ca = world.json("sds/client-ca.json");
    assert_eq!(ca["resources"][0]["validation_context"], serde_json::json!({}));
}

#[test]
fn removing_the_listener_section_removes_the_client_authority() {
    let mut world = World::with_identity();
    world.start().write_listener().unwrap();
    let listener = world.json("sds/listener.json");
    let mut config = (*world.without_front_proxy().config).clone();
    config.listener_tls = None;
    world.config = Arc::new(config);
    // Whether this run published the authority or the one before.
    let mut publisher = world.start();
    publisher.write_listener().unwrap();
    let ca = world.json("sds/client-ca.json");
    assert_eq!(ca["resources"][0]["validation_context"], serde_json::json!({}));
    assert_eq!(world.json("sds/listener.json"), listener, "an Envoy does not start without one");
    fs::remove_file(world.path("sds/client-ca.json")).unwrap();
    publisher.damaged();
    publisher.write_listener().unwrap();
    assert!(!world.path("sds/client-ca.json").exists(), "there was never one to be believed");
}

#[test]
fn a_map_speaks_of_a_front_proxy_only_if_there_is_a_certificate() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.push(&carried(None)).unwrap();
    publisher.configure(&world.without_front_proxy());
    // The index has not heard of it yet.
    publisher.push(&carried(None)).unwrap().expect("a new map");
    assert!(!world.map().identity.front_proxy);
    assert!(world.named_secrets()[TWIN].0.is_some(), "Envoy may still have the old map");
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver"]);
    assert_eq!(
        world.secret_files(),
        [format!("{}.json", xds::peer_ca_name(None, &world.settings().secrets.peer_ca))]
    );
    publisher.configure(&world.settings());
    publisher.push(&carried(None)).unwrap().expect("a new map");
    assert!(world.map().identity.front_proxy);
    assert_eq!(world.cluster_names(), ["kube-apiserver", TWIN]);
}

#[test]
fn files_that_a_killed_companion_left_are_removed() {
    let world = World::with_identity();
    world.start().push(&carried(None)).unwrap();
    let old = world.named_secrets();
    fs::write(world.path("sds/.front-proxy-0.json.new"), "half").unwrap();
    world.rotate("front-proxy");
    let mut publisher = world.start();
    assert!(!world.secret_files().contains(&".front-proxy-0.json.new".to_owned()));
    publisher.push(&carried(None)).unwrap();
    assert_eq!(world.secret_files().len(), 3, "the old one stays a while");
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(world.secret_files().len(), 2);
    assert_ne!(world.named_secrets()[TWIN].0, old[TWIN].0);
}

#[test]
fn twins_of_an_earlier_run_keep_their_certificate_for_the_whole_time() {
    let mut world = World::with_identity();
    world.start().push(&carried(None)).unwrap();
    let old = world.named_secrets();
    world.config = world.without_front_proxy().config;
    let mut publisher = world.start();
    publisher.push(&snapshot(None, true)).unwrap();
    assert_eq!(world.named_secrets(), old);
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(world.cluster_names(), ["kube-apiserver"]);
    assert_eq!(world.secret_files().len(), 1);
}

#[test]
fn damaged_secrets_are_written_anew() {
    let world = World::with_identity();
    let mut publisher = world.start();
    publisher.write_listener().unwrap();
    publisher.push(&carried(None)).unwrap();
    for file in world.secret_files() {
        let path = world.path("sds").join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, "{").unwrap();
        assert_eq!(publisher.damaged(), [path.display().to_string()]);
        publisher.push_again(&carried(None)).unwrap().expect("published");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(publisher.damaged().is_empty());
    }
}

#[test]
fn an_endpoint_joins_and_leaves_both_of_a_pair_alike() {
    let world = World::with_identity();
    let mut publisher = world.start();
    let with = |endpoints: &[&str]| {
        let mut snapshot = carried(None);
        let endpoints = endpoints.iter().map(|address| address.parse().unwrap());
        snapshot.clusters[0].endpoints = endpoints.collect();
        snapshot
    };
    publisher.push(&with(&["10.0.0.1:1", "10.0.0.2:2"])).unwrap();
    fs::create_dir(world.path(".ecds.json.new")).unwrap();
    assert!(publisher.push(&with(&["10.0.0.2:2", "10.0.0.3:3"])).is_err());
    for name in ["kube-apiserver", TWIN] {
        let endpoints = world.json(&format!("eds/{name}.json")).to_string();
        assert!(!endpoints.contains("10.0.0.1") && !endpoints.contains("10.0.0.3"), "{endpoints}");
    }
    fs::remove_dir(world.path(".ecds.json.new")).unwrap();
    publisher.push(&with(&["10.0.0.2:2", "10.0.0.3:3"])).unwrap().expect("published");
    for name in ["kube-apiserver", TWIN] {
        let endpoints = world.json(&format!("eds/{name}.json")).to_string();
        assert!(endpoints.contains("10.0.0.2") && endpoints.contains("10.0.0.3"), "{endpoints}");
    }
}
