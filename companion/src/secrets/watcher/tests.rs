//! Files that are rotated, broken and mended.

use std::fs;

use super::*;
use crate::metrics::Registry;

struct World {
    directory: tempfile::TempDir,
    config: Arc<Config>,
    watcher: Watcher,
    registry: Registry,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        let yaml = format!(
            "stateDirectory: /s\npeers: {{static: [{{name: a, address: '10.0.0.1:6443'}}]}}\n\
             peerTls: {{caFile: {root}/ca}}\ncredentials: {{tokenFile: /t}}\n\
             envoy: {{directory: /e, filterModule: /f}}\n\
             listenerTls: {{certificateFile: {root}/crt, keyFile: {root}/key, clientCaFile: {root}/ca}}\n\
             frontProxy: {{certificateFile: {root}/crt, keyFile: {root}/key}}\n"
        );
        let config = Arc::new(Config::from_yaml(&yaml).unwrap());
        let (crt, key) = pair();
        for (name, content) in [("ca", &crt), ("crt", &crt), ("key", &key)] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let settings = Arc::new(Settings::read(Arc::clone(&config)).unwrap());
        let (_, configs) = watch::channel(Arc::clone(&config));
        let (sender, _) = watch::channel(settings);
        let mut registry = Registry::with_prefix("mixed_version_companion");
        let watcher = Watcher::new(configs, sender, SecretMetrics::new(&mut registry));
        Self { directory, config, watcher, registry }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.path().join(name), content).unwrap();
    }

    fn look(&mut self, last: &Secrets) -> Secrets {
        self.watcher.look(&self.config, last)
    }

    /// Reads twice, which is what it takes to use something new.
    fn settle(&mut self, last: &Secrets) -> Secrets {
        let once = self.look(last);
        self.look(&once)
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    fn errors(&self, label: &str) -> u64 {
        let text = self.metrics();
        let name = format!("mixed_version_companion_secret_errors_total{{secret=\"{label}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

fn pair() -> (String, String) {
    pair_of((2000, 4000))
}

/// Returns a pair that is valid from the start of one year to that of another.
fn pair_of((from, until): (i32, i32)) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_half_done_rotation_keeps_the_last_good_pair() {
    let mut world = World::new();
    let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    let (crt, key) = pair();
    world.write("crt", &crt);
    assert_eq!(world.look(&first), first);
    assert_eq!(world.look(&first), first);
    assert_eq!((world.errors("listener"), world.errors("front_proxy")), (2, 2));
    assert_eq!((world.errors("client_ca"), world.errors("peer_ca")), (0, 0));
    world.write("key", &key);
    let next = world.settle(&first);
    assert_ne!((&next.front_proxy, &next.peer_ca), (&first.front_proxy, &first.peer_ca));
    assert_ne!(next.listener, first.listener);
    assert_eq!(world.errors("listener"), 2);
    assert!(world.watcher.keeper.problems.is_empty());
}

#[test]
fn a_missing_or_broken_authority_keeps_the_last_good_one() {
    let mut world = World::new();
    let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    fs::remove_file(world.directory.path().join("ca")).unwrap();
    assert_eq!(world.look(&first), first);
    world.write("ca", "");
    assert_eq!(world.look(&first), first);
    assert_eq!((world.errors("client_ca"), world.errors("peer_ca")), (2, 2));
    let (ca, _) = pair();
    world.write("ca", &ca);
    let next = world.settle(&first);
    assert_ne!(next.peer_ca, first.peer_ca);
    assert_eq!(next.client_ca.as_ref(), Some(&next.peer_ca));
}

#[test]
fn half_of_a_bundle_is_not_used() {
    let mut world = World::new();
    let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    let (one, other) = (pair().0, pair().0);
    world.write("ca", &one);
    assert_eq!(world.look(&first), first);
    world.write("ca", &[one, other].concat());
    assert_eq!(world.look(&first), first);
    let next = world.look(&first);
    assert_eq!(next.peer_ca.pem(), fs::read_to_string(world.directory.path().join("ca")).unwrap());
    // What was seen once, long ago, is as new as anything.
    world.write("ca", first.peer_ca.pem());
    assert_eq!(world.look(&next), next);
    world.write("ca", next.peer_ca.pem());
    assert_eq!(world.look(&next), next);
    world.write("ca", first.peer_ca.pem());
    assert_eq!(world.look(&next), next);
    assert_eq!(world.look(&next).peer_ca, first.peer_ca);
}

#[test]
fn a_certificate_that_is_not_valid_now_replaces_nothing() {
    let mut world = World::new();
    let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    for (period, problem) in [((2000, 2001), "has expired"), ((3000, 4000), "is not valid yet")] {
        let (crt, key) = pair_of(period);
        for (name, content) in [("crt", &crt), ("key", &key), ("ca", &crt)] {
            world.write(name, content);
        }
        assert_eq!(world.settle(&first), first);
        let found = world.watcher.keeper.problems.get(&SecretLabel::Listener).unwrap();
        assert!(found.to_string().ends_with(problem), "{found}");
    }
    assert_eq!((world.errors("front_proxy"), world.errors("client_ca")), (4, 4));
    // A bundle may keep what has expired.
    let (old, new) = (pair_of((2000, 2001)).0, pair().0);
    world.write("ca", &[old, new].concat());
    assert_ne!(world.settle(&first).peer_ca, first.peer_ca);
}

#[test]
fn a_certificate_that_expires_in_use_stays_without_an_error() {
    let mut world = World::new();
    let (crt, key) = pair_of((2000, 2001));
    for (name, content) in [("crt", &crt), ("key", &key), ("ca", &crt)] {
        world.write(name, content);
    }
    let expired = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    assert_eq!(world.look(&expired), expired);
    assert_eq!((world.errors("listener"), world.errors("peer_ca")), (0, 0));
}

#[test]
fn what_is_no_longer_configured_is_gone() {
    let mut world = World::new();
    let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    let mut config = (*world.config).clone();
    config.listener_tls = None;
    config.client_ca_file = None;
    config.front_proxy = None;
    let next = world.watcher.look(&config, &first);
    assert_eq!((&next.listener, &next.client_ca, &next.front_proxy), (&None, &None, &None));
    assert_eq!(next.peer_ca, first.peer_ca);
}

#[test]
fn the_expiry_of_each_certificate_is_a_metric() {
    let world = World::new();
    let secrets = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
    world.watcher.show(&secrets);
    let text = world.metrics();
    let expiry = secrets.listener.unwrap().certificates().expiry();
    for label in ["listener", "front_proxy"] {
        let line = format!(
            "mixed_version_companion_certificate_expiry_timestamp_seconds{{certificate=\"{label}\"}} {expiry}"
        );
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
