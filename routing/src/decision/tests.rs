//! The decision table, row by row, on the golden map: `cp-1`
//! and `cp-2` serve, `cp-3` cannot be reached.

use discovery_map::{Destination, DiscoveryMap, MapDocument, Verb};
use proptest::prelude::*;

use super::{Decision, OnTypeLevelNotFound, Reason, decide};
use crate::path::RequestPath;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");
const CP_2: Destination<'static> = Destination::Cluster("kube-apiserver_cp-2");
const DEFAULT: Destination<'static> = Destination::Default;
const EVERY: Destination<'static> = Destination::Cluster("kube-apiserver__rotation");
const UNCERTAIN: OnTypeLevelNotFound = OnTypeLevelNotFound::Uncertain;
const TRUTH: OnTypeLevelNotFound = OnTypeLevelNotFound::Truth;

fn map(complete: bool) -> DiscoveryMap {
    let mut document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    document.complete = complete;
    DiscoveryMap::try_from(document).unwrap()
}

fn check(
    map: &DiscoveryMap,
    path: &str,
    destination: Destination<'_>,
    on_not_found: OnTypeLevelNotFound,
    reason: Reason,
) {
    let found = decide(&RequestPath::new(path.as_bytes()).target(), map, |_| None);
    assert_eq!(found, Decision { destination, on_not_found, reason }, "{path}");
}

#[test]
fn a_path_that_is_not_an_api_goes_to_any_server() {
    for path in ["/healthz", "/version", "/metrics", "/logs", "/", ""] {
        check(&map(true), path, DEFAULT, TRUTH, Reason::NotAnApi);
        check(&map(false), path, DEFAULT, TRUTH, Reason::NotAnApi);
    }
}

#[test]
fn a_type_that_every_server_serves_goes_to_any_server() {
    for path in ["/api/v1/pods", "/api/v1/namespaces/n/status", "/apis/apps/v1/deployments"] {
        check(&map(true), path, DEFAULT, UNCERTAIN, Reason::Common);
    }
}

#[test]
fn a_type_that_some_servers_serve_goes_to_those_servers() {
    let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p";
    for path in [policies, "/api/v1/namespaces/n/pods/p/resize"] {
        check(&map(true), path, CP_2, UNCERTAIN, Reason::Skewed);
        check(&map(false), path, CP_2, UNCERTAIN, Reason::Skewed);
    }
}

#[test]
fn a_verb_that_some_servers_have_goes_to_those_servers() {
    let map = map(true);
    let decided = |path: &str, verb| {
        let decision = decide(&RequestPath::new(path.as_bytes()).target(), &map, |_| verb);
        (decision.destination, decision.on_not_found, decision.reason)
    };
    let scale = "/apis/apps/v1/namespaces/n/deployments/d/scale";
    assert_eq!(decided(scale, Some(Verb::Patch)), (CP_2, UNCERTAIN, Reason::Skewed));
    for verb in [Some(Verb::Get), Some(Verb::Update), None] {
        assert_eq!(decided(scale, verb), (DEFAULT, UNCERTAIN, Reason::Common));
    }
    let deployment = "/apis/apps/v1/namespaces/n/deployments/d";
    assert_eq!(decided(deployment, Some(Verb::Patch)), (DEFAULT, UNCERTAIN, Reason::Common));
}

#[test]
fn a_type_that_only_servers_out_of_rotation_serve_is_unavailable() {
    let path = "/apis/resource.k8s.io/v1alpha3/devicetaintrules";
    check(&map(true), path, Destination::Unavailable, UNCERTAIN, Reason::Unavailable);
    let document = "/apis/resource.k8s.io/v1alpha3";
    check(&map(true), document, Destination::Unavailable, UNCERTAIN, Reason::Unavailable);
}

const UNKNOWN: [&str; 4] =
    ["/api/v1/nosuch", "/apis/nosuch.io/v1/foos", "/apis/nosuch.io", "/apis/apps/v9"];

#[test]
fn a_404_for_an_unknown_type_is_uncertain() {
    for path in UNKNOWN {
        check(&map(true), path, EVERY, UNCERTAIN, Reason::Unknown);
        check(&map(false), path, EVERY, UNCERTAIN, Reason::Undetermined);
    }
    check(&map(true), "/nosuch", DEFAULT, TRUTH, Reason::NotAnApi);
}

#[test]
fn without_a_rotation_a_404_for_an_unknown_type_is_the_truth_when_every_server_was_read() {
    let mut document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    document.rotation.clear();
    let complete = DiscoveryMap::try_from(document.clone()).unwrap();
    document.complete = false;
    let incomplete = DiscoveryMap::try_from(document).unwrap();
    for path in UNKNOWN {
        check(&complete, path, DEFAULT, TRUTH, Reason::Unknown);
        check(&incomplete, path, DEFAULT, UNCERTAIN, Reason::Undetermined);
    }
}

#[test]
fn open_api_documents_come_from_the_set_in_the_map() {
    let mut document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    document.widest_view = 0;
    let map = DiscoveryMap::try_from(document).unwrap();
    check(&map, "/openapi/v2", CP_2, UNCERTAIN, Reason::Discovery);
    let skewed = "/openapi/v3/apis/admissionregistration.k8s.io/v1?hash=00";
    check(&map, skewed, CP_2, UNCERTAIN, Reason::Discovery);
    check(&map, "/openapi/v3/version", DEFAULT, UNCERTAIN, Reason::Discovery);
    let unknown = "/openapi/v3/apis/nosuch.io/v1";
    check(&map, unknown, EVERY, UNCERTAIN, Reason::Unknown);
}

#[test]
fn discovery_documents_come_from_the_widest_set() {
    let map = map(true);
    check(&map, "/apis", CP_2, UNCERTAIN, Reason::Discovery);
    check(&map, "/openapi/v2", CP_2, UNCERTAIN, Reason::Discovery);
    check(&map, "/api/v1", DEFAULT, UNCERTAIN, Reason::Discovery);
    check(&map, "/apis/apps", DEFAULT, UNCERTAIN, Reason::Discovery);
    check(&map, "/openapi/v3/apis/apps/v1", DEFAULT, UNCERTAIN, Reason::Discovery);
}

#[test]
fn a_404_below_a_subresource_is_not_the_servers_own() {
    let map = map(true);
    check(&map, "/api/v1/namespaces/n/pods/p/log/extra", DEFAULT, TRUTH, Reason::Common);
    // Nobody knows whether it is a subresource.
    check(&map, "/apis/nosuch.io/v1/foos/f/status/extra", EVERY, UNCERTAIN, Reason::Unknown);
    // These are.
    check(&map, "/api/v1/namespaces//pods", DEFAULT, UNCERTAIN, Reason::Common);
    check(&map, "/api/v1/nodes/n", DEFAULT, UNCERTAIN, Reason::Common);
}

#[test]
fn a_404_for_a_type_of_the_other_scope_counts_as_one_for_an_unknown_type() {
    for map in [map(true), map(false)] {
        check(&map, "/api/v1/pods/p", EVERY, UNCERTAIN, Reason::Common);
        check(&map, "/api/v1/namespaces/n/nodes", EVERY, UNCERTAIN, Reason::Common);
        check(&map, "/api/v1/pods", DEFAULT, UNCERTAIN, Reason::Common);
    }
}

#[test]
fn a_404_from_behind_a_proxy_passes() {
    let mut document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    let core = document.groups.get_mut("").unwrap().0.get_mut("v1").unwrap();
    core.0.get_mut(&1).unwrap().namespaced.push("services/proxy".into());
    let map = DiscoveryMap::try_from(document).unwrap();
    check(&map, "/api/v1/namespaces/n/services/s/proxy/x", CP_2, TRUTH, Reason::Skewed);
}

#[test]
fn a_404_from_behind_a_proxy_passes_also_if_the_map_does_not_know_the_type() {
    let mut document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    document.groups.clear();
    document.verbs = Default::default();
    for (complete, reason) in [(true, Reason::Unknown), (false, Reason::Undetermined)] {
        document.complete = complete;
        let map = DiscoveryMap::try_from(document.clone()).unwrap();
        check(&map, "/api/v1/namespaces/n/pods/p:8000/proxy/x", DEFAULT, TRUTH, reason);
        check(&map, "/api/v1/nodes/n/proxy", DEFAULT, TRUTH, reason);
    }
}

#[test]
fn every_reason_has_its_own_label_in_the_order_of_its_number() {
    for (position, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, position);
        let same = Reason::ALL.into_iter().filter(|other| other.as_str() == reason.as_str());
        assert_eq!(same.count(), 1);
    }
}

proptest! {
    #[test]
    fn an_incomplete_map_never_denies_an_unknown_type(path in "/apis?(/[a-z.]{1,9}){3,7}") {
        let map = map(false);
        let decision = decide(&RequestPath::new(path.as_bytes()).target(), &map, |_| None);
        if decision.reason == Reason::Undetermined && !path.contains("/proxy") {
            prop_assert_eq!(decision.on_not_found, UNCERTAIN);
        }
        prop_assert_ne!(decision.reason, Reason::Unknown);
    }
}
