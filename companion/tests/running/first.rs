//! What is published before there is a map, so that Envoy can start at any time.

use serde_json::json;

use crate::companion::Companion;
use crate::peers::{Authority, Fault, Peer};

const TYPES: &[&str] = &["/v1/pods", "apps/v1/deployments"];

/// The first map waits for an answer for as long as this.
const SLOW: &str = "polling: {timeout: 3s}";

/// The same, so long that no map comes before a slow machine has looked.
const PATIENT: &str = "polling: {timeout: 60s}";

#[test]
fn before_the_first_map_envoy_gets_a_filter_without_one_and_no_clusters() {
    let authority = Authority::new();
    let mut peer = Peer::start(&authority, TYPES);
    peer.change(|behavior| behavior.fault = Some(Fault::Stalled));
    let companion = Companion::start_with(&authority, &[&peer], PATIENT);
    companion.eventually("the first files", || companion.map_text().is_some());
    assert_eq!(companion.map_text().as_deref(), Some("null"));
    let clusters = companion.published("cds.json");
    assert_eq!(clusters, json!({"version_info": "0", "resources": []}));
    let (status, text) = companion.get("/readyz").unwrap();
    assert_eq!((status, text.as_str()), (503, "nothing published yet\n"));

    peer.change(|behavior| behavior.fault = None);
    // Closes the connection of the stalled answer.
    peer.kill();
    peer.restart();
    companion.eventually("a map", || companion.map().is_some());
    companion.wait_until_ready();
    assert_ne!(companion.published("cds.json"), clusters);
}

#[test]
fn a_restart_keeps_what_is_published_until_there_is_a_better_map() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, TYPES);
    let mut companion = Companion::start_with(&authority, &[&peer], SLOW);
    companion.wait_until_ready();
    let before = companion.map().unwrap().generation;
    companion.kill();
    peer.change(|behavior| behavior.fault = Some(Fault::Stalled));
    companion.spawn();
    companion.eventually("the next map", || {
        assert_ne!(companion.published("cds.json")["resources"], json!([]));
        companion.map().expect("there is always one").generation > before
    });
}

#[test]
fn a_damaged_file_is_replaced_at_once() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, TYPES);
    peer.change(|behavior| behavior.fault = Some(Fault::Stalled));
    let mut companion = Companion::prepare(&authority, &[&peer], PATIENT);
    std::fs::create_dir(companion.path("envoy")).unwrap();
    std::fs::write(companion.path("envoy/ecds.json"), "{\"resour").unwrap();
    companion.spawn();
    companion.eventually("the first files", || companion.map_text().is_some());
    assert_eq!(companion.map_text().as_deref(), Some("null"));
}
