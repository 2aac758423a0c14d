//! The companion or its files are gone.

use std::fs;
use std::time::{Duration, Instant};

use crate::companion::Companion;
use crate::peers::{Authority, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];

#[test]
fn a_restarted_companion_still_knows_the_types_of_a_peer_that_died_in_between() {
    let authority = Authority::new();
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let mut companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    let before = companion.map().unwrap().generation;
    companion.kill();
    b.kill();
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    companion.spawn();
    companion.wait_until_ready();
    assert_eq!(companion.route("new/v1/things").unwrap(), "unavailable");
    let map = companion.map().unwrap();
    assert!(map.complete);
    assert!(map.generation > before);
}

#[test]
fn a_companion_killed_at_any_point_leaves_complete_files_and_growing_generations() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let mut companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    let mut generation = 0;
    for round in 0..12_u64 {
        companion.kill();
        let map = companion.map().expect("a whole map");
        assert!(map.generation >= generation);
        generation = map.generation;
        for file in fs::read_dir(companion.path("envoy/eds")).unwrap() {
            let file = file.unwrap();
            // The temporary file of a killed companion.
            if file.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let content = fs::read(file.path()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&content).unwrap();
        }
        companion.spawn();
        // Each round a little later: before, in and after the first push.
        let until = Instant::now() + Duration::from_millis(15 * round);
        companion.eventually("some time passed", || Instant::now() >= until);
    }
    companion.wait_until_ready();
    assert!(companion.map().unwrap().generation > generation);
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
}

#[test]
fn nothing_is_published_before_every_peer_was_asked() {
    let authority = Authority::new();
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let mut companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    companion.kill();
    b.kill();
    // It accepts connections, and says nothing on them.
    let silent = std::net::TcpListener::bind(b.address).unwrap();
    let before = companion.map().unwrap().generation;
    companion.spawn();
    companion.wait_until_ready();
    assert!(companion.map().unwrap().generation > before);
    let route = companion.route("new/v1/things").unwrap();
    // A slow machine may show a map, even as the first, that the second time-out
    // is in. It is not if the peer counts as serving after the map was read.
    let (_, peers) = companion.get("/v1/peers").unwrap();
    let peers: serde_json::Value = serde_json::from_str(&peers).unwrap();
    if peers[1]["state"] == "serving" {
        assert_eq!(route, "kube-apiserver_b", "one time-out");
    }
    companion.eventually("two time-outs are enough", || {
        companion.route("new/v1/things").as_deref() == Some("unavailable")
    });
    drop(silent);
}

#[test]
fn without_reachable_peers_envoy_gets_every_peer_and_an_incomplete_map() {
    let authority = Authority::new();
    let (mut a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::prepare(&authority, &[&a, &b], "");
    a.kill();
    b.kill();
    let mut companion = companion;
    companion.spawn();
    companion.wait_until_ready();
    assert!(!companion.map().unwrap().complete);
    let endpoints = fs::read_to_string(companion.path("envoy/eds/kube-apiserver.json")).unwrap();
    for peer in [&a, &b] {
        assert!(endpoints.contains(&peer.address.port().to_string()));
    }
    let (_, metrics) = companion.get("/metrics").unwrap();
    assert!(metrics.contains("mixed_version_companion_rotation_frozen 1"));
    a.restart();
    companion.eventually("a is known", || {
        companion.route("apps/v1/deployments").is_some_and(|r| r == "all")
    });
}

#[test]
fn damaged_files_are_repaired() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    for file in ["ecds.json", "cds.json", "eds/kube-apiserver_b.json"] {
        let path = companion.path("envoy").join(file);
        let whole = fs::read(&path).unwrap();
        let damages: [&dyn Fn(); 4] = [
            &|| fs::write(&path, "").unwrap(),
            &|| fs::write(&path, whole.get(..whole.len() / 2).unwrap()).unwrap(),
            &|| fs::remove_file(&path).unwrap(),
            &|| {
                let other = companion.path("garbage");
                fs::write(&other, "{\"version_info\":\"9\"}").unwrap();
                fs::rename(other, &path).unwrap();
            },
        ];
        for damage in damages {
            damage();
            companion.eventually("the file is whole again", || {
                let content = fs::read(&path).unwrap_or_default();
                serde_json::from_slice::<serde_json::Value>(&content)
                    .is_ok_and(|response| response.get("resources").is_some())
            });
        }
    }
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
}

#[test]
fn sigterm_and_sigint_end_the_companion_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let authority = Authority::new();
        let a = Peer::start(&authority, COMMON);
        let mut companion = Companion::start(&authority, &[&a]);
        companion.wait_until_ready();
        companion.signal(signal);
        companion.wait_for_end();
        assert!(companion.map().is_some());
    }
}
