//! The schema rule (ADR 0014): a newer filter reads every map since 0.1.0, and
//! an older filter refuses a map with a field that it does not know as a whole.

#![cfg(test)]

use std::collections::BTreeSet;

use discovery_map::{
    Destination, DiscoveryMap, IdentityHeaders, Ignored, MapDocument, OpenApi, PeerEntry,
    PeerState, SCHEMA_VERSION, SetEntry,
};
use serde_json::{Value, json};

/// A map of 0.1.0 with every field. It never changes.
const FROZEN: &str = include_str!("../golden/map-0.1.0.json");

/// The map's own fields in 0.1.0, and whether every map has them.
const FIELDS: [(&str, bool); 12] = [
    ("complete", true),
    ("defaultCluster", true),
    ("documents", false),
    ("generation", true),
    ("groups", true),
    ("identity", true),
    ("openApi", false),
    ("peers", true),
    ("schemaVersion", true),
    ("sets", true),
    ("strictNotFound", false),
    ("widestView", true),
];

fn frozen() -> Value {
    serde_json::from_str(FROZEN).unwrap()
}

fn keys(map: &Value) -> BTreeSet<&str> {
    map.as_object().unwrap().keys().map(String::as_str).collect()
}

fn fault(map: &Value) -> String {
    DiscoveryMap::from_json(map.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_frozen_map_has_every_field_of_0_1_0() {
    assert_eq!(keys(&frozen()), FIELDS.iter().map(|(field, _)| *field).collect());
}

#[test]
fn a_map_of_0_1_0_is_read_with_the_same_meaning() {
    let map = DiscoveryMap::from_json(FROZEN.as_bytes()).unwrap();
    let resource = |group: &str, version: &str, resource: &str, subresource: Option<&str>| {
        let subresource = subresource.map(str::as_bytes);
        map.resource(group.as_bytes(), version.as_bytes(), resource.as_bytes(), subresource)
            .map(|found| found.destination)
    };
    assert_eq!(map.generation, 42);
    assert!(map.complete && map.identity.front_proxy);
    assert_eq!(resource("", "v1", "pods", None), Some(Destination::Default));
    assert_eq!(
        resource("", "v1", "pods", Some("resize")),
        Some(Destination::Cluster("kube-apiserver_cp-2"))
    );
    assert_eq!(
        resource("resource.k8s.io", "v1alpha3", "devicetaintrules", None),
        Some(Destination::Unavailable)
    );
    assert_eq!(resource("nosuch.io", "v1", "foos", None), None);
    assert_eq!(map.open_api_v2(), Some(Destination::Cluster("kube-apiserver_cp-2")));
    // What it says of `strictNotFound` is read and means nothing.
    assert!(map.rotation.is_empty() && !map.just_left);
    assert!(!map.has_no_documents());
}

#[test]
fn a_map_of_0_1_0_without_its_optional_fields_is_read() {
    for (field, _) in FIELDS.iter().filter(|(_, is_required)| !is_required) {
        let mut map = frozen();
        map.as_object_mut().unwrap().remove(*field);
        assert!(DiscoveryMap::from_json(map.to_string().as_bytes()).is_ok(), "{field}");
    }
}

/// A companion that uses no feature added since must be understood by a filter
/// of 0.1.0. A new field that fails this test needs `skip_serializing_if`.
#[test]
fn a_map_that_uses_no_feature_has_only_fields_of_0_1_0() {
    let map = MapDocument {
        schema_version: SCHEMA_VERSION,
        generation: 1,
        complete: true,
        mode: discovery_map::Mode::Enforce,
        decision_header_groups: Vec::new(),
        default_cluster: "kube-apiserver".to_owned(),
        identity: IdentityHeaders::default(),
        peers: vec![PeerEntry {
            name: "cp-1".to_owned(),
            state: PeerState::Serving,
            version: None,
        }],
        rotation: Vec::new(),
        just_left: false,
        sets: vec![SetEntry {
            peers: vec![0],
            cluster: Some("kube-apiserver".to_owned()),
            at_least: Default::default(),
        }],
        widest_view: 0,
        groups: Default::default(),
        verbs: Default::default(),
        documents: Vec::new(),
        open_api: OpenApi::default(),
        strict_not_found: Ignored,
    };
    let map: Value = serde_json::from_str(&map.to_json().unwrap()).unwrap();
    let required = FIELDS.iter().filter(|(_, is_required)| *is_required);
    assert_eq!(keys(&map), required.map(|(field, _)| *field).collect());
    for (part, fields) in [
        (
            "/identity",
            &["extraHeaderPrefixes", "frontProxy", "groupHeaders", "uidHeaders", "usernameHeaders"]
                [..],
        ),
        ("/peers/0", &["name", "state"]),
        ("/sets/0", &["cluster", "peers"]),
    ] {
        let found = map.pointer(part).unwrap();
        assert_eq!(keys(found), fields.iter().copied().collect(), "{part}");
    }
}

#[test]
fn a_field_of_a_newer_map_is_refused_wherever_it_is_and_named() {
    for place in
        ["", "/identity", "/peers/0", "/sets/0", "/groups/apps/v1/0", "/documents/0", "/openApi"]
    {
        let mut map = frozen();
        let part = map.pointer_mut(place).unwrap().as_object_mut().unwrap();
        part.insert("answeringVersion".to_owned(), json!("1.36"));
        let fault = fault(&map);
        assert!(fault.contains("unknown field `answeringVersion`"), "{place}: {fault}");
    }
}

#[test]
fn a_value_of_a_newer_map_is_refused_and_named() {
    let mut map = frozen();
    map["peers"][0]["state"] = json!("starting");
    assert!(fault(&map).contains("unknown variant `starting`"));
    let mut map = frozen();
    map["documents"][0]["form"] = json!("msgpack");
    assert!(fault(&map).contains("unknown variant `msgpack`"));
}

#[test]
fn another_schema_version_is_refused_by_its_number_before_anything_else() {
    for version in [0, 2, 99] {
        let fault = fault(&json!({ "schemaVersion": version, "answeringVersion": "1.36" }));
        let expected = format!(
            "schemaVersion: version {version} is not supported; this build reads version 1"
        );
        assert_eq!(fault, expected);
    }
}
