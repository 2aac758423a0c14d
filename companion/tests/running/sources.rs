//! Peers that come from a source: here, a DNS server that a test runs.

use std::time::Duration;

use serde_json::Value;

use crate::companion::{Companion, within};
use crate::dns_server::{DnsServer, a, srv};
use crate::peers::{Authority, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];

/// What the companion promises: a second until the TTL is over, one until it has polled and pushed,
/// and as much again for a busy machine.
const PROMISE: Duration = Duration::from_secs(4);

/// Replaces the list of peers by a source (YAML).
fn with_source(config: &str, source: &str) -> String {
    format!("{}peers: {source}\n", config.split_once("peers:\n").unwrap().0)
}

/// A companion whose peers are the SRV records of `api.example`.
fn following(authority: &Authority, dns: &DnsServer) -> Companion {
    following_with(authority, dns, "")
}

/// The same, with further settings (YAML).
fn following_with(authority: &Authority, dns: &DnsServer, settings: &str) -> Companion {
    let settings = format!("polling: {{interval: 200ms}}\n{settings}");
    let mut companion = Companion::prepare(authority, &[], &settings);
    companion.write_config(|config| {
        let source = format!(
            "{{dns: {{name: api.example., recordType: SRV, servers: ['{}']}}}}",
            dns.address
        );
        with_source(&config, &source)
    });
    companion.spawn();
    companion
}

/// Lets the DNS server name these peers.
fn name(dns: &DnsServer, peers: &[(&str, &Peer)]) {
    let record =
        |(name, peer): &(&str, &Peer)| srv(&format!("{name}.api.example."), peer.address.port());
    let services = peers.iter().map(record).collect();
    let hosts: Vec<_> = peers.iter().map(|(name, _)| format!("{name}.api.example")).collect();
    let addresses = hosts.iter().map(|host| (host.as_str(), vec![a([127, 0, 0, 1])]));
    dns.set(std::iter::once(("api.example", services)).chain(addresses));
}

fn source(companion: &Companion) -> Value {
    let (_, text) = companion.get("/v1/sources").unwrap_or_default();
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    all[0].clone()
}

fn peer_names(companion: &Companion) -> Vec<String> {
    let (_, text) = companion.get("/v1/peers").unwrap_or_default();
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    let names = all.as_array().into_iter().flatten();
    names.map(|peer| peer["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn servers_come_from_the_dns_and_go_and_what_only_they_served_stays_unavailable() {
    let (authority, dns) = (Authority::new(), DnsServer::start());
    let (old, new) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    name(&dns, &[("old", &old), ("new", &new)]);
    let companion = following(&authority, &dns);
    companion.wait_until_ready();
    companion.wait_for_route("new/v1/things", "kube-apiserver_new");
    assert_eq!(peer_names(&companion), ["new", "old"]);
    // The rollback: the newer one goes, and another older one comes.
    let other = Peer::start(&authority, COMMON);
    name(&dns, &[("old", &old), ("other", &other)]);
    within(PROMISE, "the newer one left", || {
        companion.route("new/v1/things").as_deref() == Some("unavailable")
    });
    within(PROMISE, "the other one is used", || {
        let map = companion.map_text().unwrap_or_default();
        map.contains(&other.address.to_string()) && !map.contains(&new.address.to_string())
    });
    assert_eq!(peer_names(&companion), ["old", "other", "new"]);
    let log = companion.log();
    assert!(log.contains("peer left its source: its types are remembered"), "{log}");
    // It comes back.
    name(&dns, &[("old", &old), ("other", &other), ("new", &new)]);
    within(PROMISE, "the newer one is back", || {
        companion.route("new/v1/things").as_deref() == Some("kube-apiserver_new")
    });
}

#[test]
fn neither_of_two_companions_proves_a_404_for_types_of_a_server_that_left() {
    let (authority, dns) = (Authority::new(), DnsServer::start());
    let (old, new) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    name(&dns, &[("old", &old), ("new", &new)]);
    let forget = "forgetAfter: 20s";
    let first = following_with(&authority, &dns, forget);
    first.wait_until_ready();
    first.wait_for_route("new/v1/things", "kube-apiserver_new");
    // The rollback by replacement, and then another companion.
    let back = Peer::start(&authority, COMMON);
    name(&dns, &[("back", &back)]);
    first.wait_for_route("new/v1/things", "unavailable");
    let proves = |companion: &Companion| {
        let map: Value = serde_json::from_str(&companion.map_text().unwrap()).unwrap();
        companion.route("new/v1/things").as_deref() == Some("unknown") && map["complete"] == true
    };
    // Before the second one starts: the first one may forget the server meanwhile.
    assert!(!proves(&first));
    let second = following_with(&authority, &dns, forget);
    second.wait_until_ready();
    assert!(!proves(&second));
    assert_eq!(second.route("apps/v1/deployments").unwrap(), "all");
    for companion in [&first, &second] {
        companion.eventually("it is forgotten", || proves(companion));
    }
}

#[test]
fn a_dns_server_that_stops_or_fails_or_is_empty_changes_nothing_and_is_named_once() {
    let (authority, mut dns) = (Authority::new(), DnsServer::start());
    let peers = [Peer::start(&authority, COMMON), Peer::start(&authority, MORE)];
    let named = [("a", &peers[0]), ("b", &peers[1])];
    name(&dns, &named);
    let companion = following(&authority, &dns);
    companion.wait_until_ready();
    companion.wait_for_route("new/v1/things", "kube-apiserver_b");
    let map = companion.map_text();
    type Fault = (fn(&mut DnsServer), &'static str);
    let faults: [Fault; 3] = [
        (|dns| dns.set([]), "it has no servers"),
        (|dns| dns.fail(), "SRV records of api.example.: "),
        (|dns| dns.stop(), "SRV records of api.example.: "),
    ];
    for (fault, error) in faults {
        fault(&mut dns);
        let errors = || companion.metric("source_errors_total{kind=\"dns\"}");
        // The second one from now on is that of a query after the fault.
        let counted = errors();
        companion.eventually("the source fails", || {
            let is_new = errors() >= counted + 2;
            let source = source(&companion);
            let said = source["lastError"].as_str().unwrap_or_default();
            source["state"] == "failing" && said.starts_with(error) && is_new
        });
        assert_eq!(companion.metric("source_fresh{kind=\"dns\"}"), 0);
        assert_eq!(companion.map_text(), map);
        assert_eq!(source(&companion)["peers"].as_array().unwrap().len(), 2);
    }
    dns.start_again();
    name(&dns, &named);
    companion.eventually("the source is back", || source(&companion)["state"] == "fresh");
    assert_eq!(companion.metric("source_fresh{kind=\"dns\"}"), 1);
    assert_eq!(companion.map_text(), map);
    let log = companion.log();
    assert_eq!(log.matches("it has no servers").count(), 1, "{log}");
    assert_eq!(log.matches("the source of the peers is back").count(), 1, "{log}");
}

#[test]
fn a_companion_that_starts_while_its_source_fails_has_the_last_peers() {
    let (authority, mut dns) = (Authority::new(), DnsServer::start());
    let peers = [Peer::start(&authority, COMMON), Peer::start(&authority, MORE)];
    name(&dns, &[("a", &peers[0]), ("b", &peers[1])]);
    let mut companion = following(&authority, &dns);
    companion.wait_until_ready();
    companion.wait_for_route("new/v1/things", "kube-apiserver_b");
    name(&dns, &[("a", &peers[0])]);
    companion.wait_for_route("new/v1/things", "unavailable");
    dns.stop();
    companion.kill();
    companion.spawn();
    companion.wait_until_ready();
    companion.eventually("the source fails", || source(&companion)["state"] == "failing");
    assert_eq!(companion.route("new/v1/things").unwrap(), "unavailable", "it is remembered");
    assert_eq!(companion.route("apps/v1/deployments").unwrap(), "all");
    assert_eq!(source(&companion)["peers"][0]["name"], "a");
}

/// A name whose address is that of the peer, and then one at which nobody listens.
#[test]
fn when_the_only_server_is_replaced_the_old_one_stays_until_the_new_one_is_ready() {
    let (authority, dns) = (Authority::new(), DnsServer::start());
    let peer = Peer::start(&authority, MORE);
    dns.set([("api.example", vec![a([127, 0, 0, 1])])]);
    let mut companion = Companion::prepare(&authority, &[], "polling: {interval: 200ms}");
    companion.write_config(|config| {
        let (port, server) = (peer.address.port(), dns.address);
        let source = format!("{{dns: {{name: api.example, port: {port}, servers: ['{server}']}}}}");
        with_source(&config, &source)
    });
    companion.spawn();
    companion.wait_until_ready();
    let port = peer.address.port();
    assert_eq!(peer_names(&companion), [format!("127-0-0-1-{port}")]);
    let rotation = companion.map().unwrap().rotation;
    dns.set([("api.example", vec![a([127, 77, 0, 2])])]);
    companion.eventually("the new one is polled", || {
        peer_names(&companion) == [format!("127-77-0-2-{port}"), format!("127-0-0-1-{port}")]
    });
    companion.eventually("the rotation is frozen", || companion.metric("rotation_frozen") == 1);
    assert_eq!(companion.map().unwrap().rotation, rotation);
    assert_eq!(companion.route("new/v1/things").unwrap(), "all");
}

#[test]
fn a_companion_without_peers_publishes_nothing_until_it_has_some() {
    let (authority, dns) = (Authority::new(), DnsServer::start());
    let peer = Peer::start(&authority, COMMON);
    let companion = following(&authority, &dns);
    companion.eventually("the source fails", || source(&companion)["state"] == "failing");
    assert_eq!(companion.get("/readyz").unwrap().0, 503);
    name(&dns, &[("a", &peer)]);
    companion.wait_until_ready();
    assert_eq!(companion.route("apps/v1/deployments").unwrap(), "all");
}

#[test]
fn a_server_of_another_control_plane_at_a_peers_address_is_not_used() {
    let (authority, other, dns) = (Authority::new(), Authority::new(), DnsServer::start());
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let thief = Peer::start(&other, &["/v1/pods", "stolen/v1/things"]);
    name(&dns, &[("a", &a), ("b", &b)]);
    let companion = following(&authority, &dns);
    companion.wait_until_ready();
    companion.wait_for_route("new/v1/things", "kube-apiserver_b");
    // The name of one peer now has the address of a foreign server.
    b.kill();
    name(&dns, &[("a", &a), ("b", &thief)]);
    companion.eventually("the companion asked it", || {
        let (_, text) = companion.get("/v1/peers").unwrap_or_default();
        text.contains(&thief.address.to_string()) && text.contains("certificate")
    });
    companion.wait_for_route("new/v1/things", "unavailable");
    let map = companion.map_text().unwrap();
    assert!(!map.contains(&thief.address.to_string()), "{map}");
    assert_eq!(companion.route("stolen/v1/things").unwrap(), "unknown");
    assert_eq!(peer_names(&companion)[..2], ["a", "b"]);
}

#[test]
fn a_source_can_replace_the_list_while_the_companion_runs() {
    let (authority, dns) = (Authority::new(), DnsServer::start());
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    name(&dns, &[("c", &a)]);
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    companion.wait_for_route("new/v1/things", "kube-apiserver_b");
    assert_eq!(source(&companion)["kind"], "static");
    companion.write_config(|config| {
        let dns = format!(
            "{{dns: {{name: api.example., recordType: SRV, servers: ['{}']}}}}",
            dns.address
        );
        with_source(&config, &dns)
    });
    companion.eventually("nothing was forgotten", || {
        companion.route("new/v1/things").as_deref() == Some("unavailable")
    });
    let source = source(&companion);
    assert_eq!((&source["kind"], &source["peers"][0]["name"]), (&"dns".into(), &"c".into()));
}
