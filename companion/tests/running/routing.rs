//! Changes of the peers reach Envoy within two seconds.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::companion::{Companion, within};
use crate::peers::{Authority, Fault, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];

#[test]
fn a_type_of_some_peers_is_published_with_a_cluster_of_these_peers() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(companion.route("apps/v1/deployments").unwrap(), "all");
    assert_eq!(companion.route("/v1/pods").unwrap(), "all");
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    let endpoints = fs::read(companion.path("envoy/eds/kube-apiserver_b.json")).unwrap();
    let endpoints: Value = serde_json::from_slice(&endpoints).unwrap();
    let address = "/resources/0/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    let port = &endpoints.pointer(address).unwrap()["port_value"];
    assert_eq!(port, b.address.port());
}

#[test]
fn a_type_appears_and_disappears_within_two_seconds() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    let more = || MORE.iter().map(|&name| name.to_owned()).collect();
    a.change(|behavior| behavior.types = more());
    companion.wait_for_route_in_time("new/v1/things", "kube-apiserver_a");
    b.change(|behavior| behavior.types = more());
    companion.wait_for_route_in_time("new/v1/things", "all");
    for peer in [&a, &b] {
        peer.change(|behavior| behavior.types.truncate(COMMON.len()));
    }
    companion.wait_for_route_in_time("new/v1/things", "unknown");
}

/// A round takes long, because its last answer stalls. Meanwhile another peer changes, and this one
/// does after it was read.
#[test]
fn a_peer_is_read_again_at_once_if_another_changed_while_it_was_read() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    a.change(|behavior| behavior.version_fault = Some(Fault::Stalled));
    let companion =
        Companion::start_with(&authority, &[&a, &b], "polling: {interval: 40s, timeout: 3s}");
    companion.eventually("both are read", || a.full_answers() >= 2 && b.full_answers() >= 2);
    a.change(|behavior| {
        behavior.version_fault = None;
        behavior.types.push("new/v1/things".to_owned());
    });
    // Before the interval is over: after the time-out, and the pause of a fifth of the interval.
    within(Duration::from_secs(30), "the new type is routed", || {
        companion.route("new/v1/things").as_deref() == Some("kube-apiserver_a")
    });
}

#[test]
fn a_killed_peers_own_types_are_unavailable_until_it_is_back() {
    let authority = Authority::new();
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    for _ in 0..2 {
        b.kill();
        companion.wait_for_route_in_time("new/v1/things", "unavailable");
        assert_eq!(companion.route("apps/v1/deployments").unwrap(), "all");
        b.restart();
        companion.wait_for_route_in_time("new/v1/things", "kube-apiserver_b");
    }
}

#[test]
fn a_peer_that_is_not_ready_is_out_of_rotation() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    b.change(|behavior| behavior.ready = false);
    companion.wait_for_route_in_time("new/v1/things", "unavailable");
    let (_, peers) = companion.get("/v1/peers").unwrap();
    let peers: Value = serde_json::from_str(&peers).unwrap();
    assert_eq!(peers[1]["state"], "notReady");
    assert_eq!(peers[1]["version"], "v1.2.3");
    b.change(|behavior| behavior.ready = true);
    companion.wait_for_route_in_time("new/v1/things", "kube-apiserver_b");
}

#[test]
fn a_peer_with_the_older_form_of_discovery_is_read_as_well() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    b.change(|behavior| behavior.legacy = true);
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    assert_eq!(companion.route("apps/v1/deployments").unwrap(), "all");
    b.change(|behavior| behavior.types.truncate(COMMON.len()));
    companion.wait_for_route_in_time("new/v1/things", "unknown");
}

#[test]
fn a_valid_configuration_is_applied_and_an_invalid_one_is_refused() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    companion.write_config(|config| config.replace("name: b", "name: B"));
    let refused = r#"mixed_version_companion_config_reloads_total{outcome="refused"} 1"#;
    companion.eventually("the refusal is counted", || {
        companion.get("/metrics").is_some_and(|(_, metrics)| metrics.contains(refused))
    });
    assert!(companion.log().contains("peers.static[1].name"));
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");

    let only_a = |config: String| {
        config.lines().filter(|line| !line.contains("name: b")).map(|l| format!("{l}\n")).collect()
    };
    companion.write_config(only_a);
    companion.signal("-HUP");
    companion.wait_for_route_in_time("new/v1/things", "unknown");
    companion.write_config(|config| config);
    companion.eventually("b is back without a signal", || {
        companion.route("new/v1/things").as_deref() == Some("kube-apiserver_b")
    });
}

#[test]
fn a_configuration_is_applied_once_the_files_that_it_names_exist() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    companion.write_config(|config| {
        let lines = config.lines().filter(|line| !line.contains("name: b"));
        lines.map(|line| line.replace("/token}", "/next}") + "\n").collect()
    });
    companion.eventually("it is refused", || companion.log().contains("credentials.tokenFile"));
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    fs::write(companion.path("next"), "secret").unwrap();
    companion.eventually("it is taken", || {
        companion.route("new/v1/things").as_deref() == Some("unknown")
    });
}

#[test]
fn a_rotated_token_is_used_at_once() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let companion = Companion::start(&authority, &[&a]);
    companion.wait_until_ready();
    a.change(|behavior| behavior.token = "next".to_owned());
    fs::write(companion.path("token"), "next").unwrap();
    a.change(|behavior| behavior.types.push("new/v1/things".to_owned()));
    companion.wait_for_route_in_time("new/v1/things", "all");
}

#[test]
fn a_configured_client_certificate_is_presented_to_the_peers() {
    let authority = Authority::new();
    let (a, b) = (Peer::start_mutual(&authority, COMMON), Peer::start_mutual(&authority, MORE));
    let mut companion = Companion::prepare(&authority, &[&a, &b], "");
    let (certificate, key) = authority.issue("companion");
    fs::write(companion.path("client.pem"), certificate).unwrap();
    fs::write(companion.path("client.key"), key).unwrap();
    let root = companion.path("").display().to_string();
    companion.write_config(|config| {
        let token = format!("{{tokenFile: {root}token}}");
        let files = format!("{{certificateFile: {root}client.pem, keyFile: {root}client.key}}");
        let changed = config.replace(&token, &format!("{{clientCertificate: {files}}}"));
        assert_ne!(changed, config);
        changed
    });
    companion.spawn();
    companion.wait_until_complete();
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
}
