//! Where the peers come from.

use std::path::PathBuf;
use std::time::Duration;

use super::{SOUND, faults};
use crate::config::{Access, Config, PeerSource, Records, SlicePort};

/// A sound document but for the section `peers`.
fn with(peers: &str) -> String {
    let (head, rest) = SOUND.split_once("peers:").unwrap();
    let (_, tail) = rest.split_once("peerTls:").unwrap();
    format!("{head}peers: {peers}\npeerTls:{tail}")
}

fn source(peers: &str) -> PeerSource {
    Config::from_yaml(&with(peers)).unwrap().peers
}

#[test]
fn more_peers_than_fit_are_refused() {
    let peer = |n: usize| format!("  - {{name: p-{n}, address: '10.0.0.1:{}'}}\n", 1000 + n);
    let with = |count: usize| {
        let peers: String = (0..count).map(peer).collect();
        let rest = SOUND.replace("  - {name: cp-1, address: '10.0.0.1:6443'}\n", "");
        rest.replace("  - {name: cp-2, address: '[fd00::2]:6443'}\n", &peers)
    };
    assert!(Config::from_yaml(&with(128)).is_ok());
    assert_eq!(faults(&with(129)), ["peers.static: must have at most 128 entries, not 129"]);
}

#[test]
fn an_ipv6_address_of_a_peer_has_no_zone() {
    let with = |address: &str| SOUND.replace("10.0.0.1:6443", address);
    assert!(Config::from_yaml(&with("[fd00::3]:6443")).is_ok());
    for address in ["[fe80::2%3]:6443", "[fe80::2%0]:6443"] {
        let found = faults(&with(address));
        let [fault] = &found[..] else { panic!("{found:?}") };
        assert!(fault.starts_with("peers.static[0].address: "), "{fault}");
        assert!(fault.contains("must be without a zone"), "{fault}");
    }
}

#[test]
fn there_is_just_one_source() {
    let dns = "dns: {name: api.example.com, port: 6443}";
    let slices = "endpointSlices: {namespace: a, service: b}";
    let problem = "peers: must have exactly one of static, dns and endpointSlices";
    for several in ["{}".to_owned(), format!("{{{dns}, {slices}}}")] {
        assert_eq!(faults(&with(&several)), [problem]);
    }
    assert_eq!(faults(&with("[]")), ["peers: must be a mapping, not a list"]);
    assert_eq!(faults(&with("{static: []}")), ["peers.static: must have at least one entry"]);
    let known = "known fields: static, dns, endpointSlices";
    let unknown = format!("peers.consul: is not a known field; {known}");
    assert_eq!(faults(&with(&format!("{{consul: x, {slices}}}"))), [unknown]);
}

#[test]
fn a_name_in_the_dns_has_defaults_and_every_field_can_be_set() {
    let PeerSource::Dns(short) = source("{dns: {name: api.example.com, port: 6443}}") else {
        panic!("another source")
    };
    assert_eq!((short.records, short.servers.len()), (Records::A(6443), 0));
    assert_eq!(short.min_interval, Duration::from_secs(1));
    assert_eq!(short.max_interval, Duration::from_secs(30));
    let long = "{dns: {name: _https._tcp.api.example., recordType: SRV, servers: ['[::1]:53'], \
                minInterval: 5s, maxInterval: 5s}}";
    let PeerSource::Dns(long) = source(long) else { panic!("another source") };
    assert_eq!((long.records, long.name.as_str()), (Records::Srv, "_https._tcp.api.example."));
    assert_eq!(long.servers, ["[::1]:53".parse().unwrap()]);
    assert_eq!(long.min_interval, long.max_interval);
    let six = source("{dns: {name: api, recordType: AAAA, port: '443'}}");
    assert!(matches!(six, PeerSource::Dns(dns) if dns.records == Records::Aaaa(443)));
}

#[test]
fn faults_of_a_name_in_the_dns_name_their_fields() {
    let found = |fields: &str| faults(&with(&format!("{{dns: {{{fields}}}}}")));
    let needs = "peers.dns.port: is required, except for recordType SRV";
    assert_eq!(found("name: api"), [needs]);
    let has = "peers.dns.port: must be absent: SRV records have ports";
    assert_eq!(found("name: api, recordType: SRV, port: 1"), [has]);
    for port in ["0", "65536", "https", "-1"] {
        let fault = &found(&format!("name: api, port: {port}"))[0];
        assert!(fault.starts_with("peers.dns.port: "), "{fault}");
    }
    for name in ["10.0.0.1", "API.example", "a..b", "''", &"x".repeat(64)] {
        let fault = &found(&format!("name: {name}, port: 1"))[0];
        assert!(fault.starts_with("peers.dns.name: "), "{fault}");
    }
    let order = "peers.dns.maxInterval: must not be less than minInterval";
    assert_eq!(found("name: api, port: 1, minInterval: 1m"), [order]);
    let all = found("name: 1, recordType: MX, servers: [x], minInterval: 0s");
    assert_eq!(all.len(), 4, "{all:?}");
}

#[test]
fn endpoint_slices_are_reached_in_one_of_three_ways() {
    let access = |fields: &str| {
        let slices = format!("{{endpointSlices: {{namespace: a, service: b{fields}}}}}");
        match source(&slices) {
            PeerSource::EndpointSlices(slices) => (slices.access, slices.port),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(access(""), (Access::InCluster, SlicePort::Only));
    let file = Access::Kubeconfig(PathBuf::from("/k"));
    assert_eq!(access(", kubeconfigFile: /k, port: 6443"), (file, SlicePort::Number(6443)));
    let (through, port) = access(", throughPeers: ['10.0.0.1:6443'], port: https");
    assert_eq!(through, Access::ThroughPeers(vec!["10.0.0.1:6443".parse().unwrap()]));
    assert_eq!(port, SlicePort::Named("https".parse().unwrap()));
    let found = |fields: &str| {
        faults(&with(&format!("{{endpointSlices: {{namespace: a, service: b, {fields}}}}}")))
    };
    let both = "peers.endpointSlices: must have at most one of kubeconfigFile and throughPeers";
    assert_eq!(found("kubeconfigFile: /k, throughPeers: ['1.2.3.4:5']"), [both]);
    let empty = "peers.endpointSlices.throughPeers: must have at least one entry";
    assert_eq!(found("throughPeers: []"), [empty]);
    assert!(found("port: 0")[0].starts_with("peers.endpointSlices.port: \"0\" must be a port"));
}

#[test]
fn a_missing_or_invalid_kubeconfig_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    let found = || {
        let slices = format!(
            "{{endpointSlices: {{namespace: a, service: b, kubeconfigFile: {}}}}}",
            file.display()
        );
        let config = Config::from_yaml(&with(&slices)).unwrap();
        config.check_files().unwrap_err().iter().next().unwrap().to_string()
    };
    let place = format!("peers.endpointSlices.kubeconfigFile: {} ", file.display());
    for (content, problem) in [
        (None, "cannot be read: "),
        (Some("[1]"), "is not a kubeconfig"),
        (Some("kind: Config"), "has no clusters"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let fault = found();
        assert!(fault.starts_with(&format!("{place}{problem}")), "{fault}");
    }
}
