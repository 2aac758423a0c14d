//! The cluster for a component of each version.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{at_least, at_least_cluster};
use crate::{Destination, DiscoveryMap, MinorVersion};

const GOLDEN: &str = include_str!("../../golden/map.json");

const fn v(minor: u16) -> MinorVersion {
    MinorVersion::new(1, minor)
}

fn golden() -> DiscoveryMap {
    DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap()
}

/// `cluster` of 1.36 and 1.37, and so on.
fn names(versions: &[Option<u16>]) -> Vec<(String, String)> {
    let versions = versions.iter().map(|version| version.map(v));
    at_least("all", versions).into_iter().map(|(own, name)| (own.to_string(), name)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(own, name)| ((*own).to_owned(), (*name).to_owned())).collect()
}

#[test]
fn a_set_has_a_cluster_for_each_of_its_versions_and_its_own_for_the_oldest() {
    let two = [("1.36", "all"), ("1.37", "all__from-1-37")];
    assert_eq!(names(&[Some(37), Some(36), Some(36)]), pairs(&two));
    assert_eq!(names(&[Some(9), Some(10)]), pairs(&[("1.9", "all"), ("1.10", "all__from-1-10")]));
    assert_eq!(names(&[Some(37)]), pairs(&[("1.37", "all")]));
    assert_eq!(names(&[]), pairs(&[]));
}

#[test]
fn a_peer_of_unknown_version_is_older_than_every_component() {
    assert_eq!(names(&[None, Some(36)]), pairs(&[("1.36", "all__from-1-36")]));
    assert_eq!(names(&[None]), pairs(&[]));
}

#[test]
fn a_component_goes_to_peers_that_are_at_least_as_new() {
    let map = golden();
    assert!(map.versions_differ());
    let all = Destination::Default;
    let rotation = map.every_peer();
    let newer = Destination::Cluster("kube-apiserver_cp-2");
    let expected = [
        (all, v(35), Some(all)),
        (all, v(36), Some(all)),
        (all, v(37), Some(Destination::Cluster("kube-apiserver__from-1-37"))),
        (all, v(38), None),
        (newer, v(36), Some(newer)),
        (newer, v(37), Some(newer)),
        (newer, v(38), None),
        (rotation, v(36), Some(rotation)),
        (rotation, v(37), Some(Destination::Cluster("kube-apiserver__rotation__from-1-37"))),
        (rotation, v(38), None),
        (Destination::Unavailable, v(30), None),
    ];
    for (destination, version, expected) in expected {
        assert_eq!(map.at_least(destination, version), expected, "{destination:?} {version}");
    }
}

#[test]
fn the_cluster_for_components_is_of_its_set() {
    let map = golden();
    let part = map.at_least(Destination::Default, v(37)).unwrap();
    assert_eq!(map.set_of(part), Some(0));
    let names: Vec<_> = map.peers_at_least(0, v(37)).map(|peer| &*peer.name).collect();
    assert_eq!(names, ["cp-2"]);
    let names: Vec<_> = map.peers_at_least(0, v(36)).map(|peer| &*peer.name).collect();
    assert_eq!(names, ["cp-1", "cp-2"]);
}

#[test]
fn a_map_without_versions_says_nothing_of_components() {
    let mut map: Value = serde_json::from_str(GOLDEN).unwrap();
    for set in map["sets"].as_array_mut().unwrap() {
        set.as_object_mut().unwrap().remove("atLeast");
    }
    let map = DiscoveryMap::from_json(map.to_string().as_bytes()).unwrap();
    assert!(!map.versions_differ());
    assert_eq!(map.at_least(Destination::Default, v(30)), None);
}

#[test]
fn clusters_for_components_that_do_not_fit_the_map_are_faults() {
    let faults = |set: usize, at_least: Value| -> Vec<String> {
        let mut map: Value = serde_json::from_str(GOLDEN).unwrap();
        map["sets"][set]["atLeast"] = at_least;
        let Err(faults) = DiscoveryMap::from_json(map.to_string().as_bytes()) else {
            return Vec::new();
        };
        faults.iter().map(ToString::to_string).collect()
    };
    let earlier = "is the cluster of an earlier set";
    assert_eq!(faults(0, json!({})), [""; 0]);
    assert_eq!(
        faults(2, json!({ "1.36": "x" })),
        ["sets[2].atLeast[\"1.36\"]: must not be there: the set has no cluster"]
    );
    assert_eq!(
        faults(1, json!({ "1.37": "kube-apiserver__from-1-37" })),
        [format!("sets[1].atLeast[\"1.37\"]: \"kube-apiserver__from-1-37\" {earlier} or version")]
    );
    assert_eq!(
        faults(0, json!({ "1.36": "a", "1.37": "kube-apiserver" })),
        [format!("sets[0].cluster: \"kube-apiserver\" {earlier}")]
    );
    for (name, problem) in [
        ("", "must be visible ASCII and not empty"),
        ("x__front-proxy", "must not end with \"__front-proxy\""),
    ] {
        let place = "sets[0].atLeast[\"1.37\"]";
        assert_eq!(faults(0, json!({ "1.37": name })), [format!("{place}: {name:?} {problem}")]);
    }
    let no_version = faults(0, json!({ "37": "x" }));
    assert!(no_version[0].contains("is not a minor version"), "{no_version:?}");
}

proptest! {
    /// Of any versions, a component gets the cluster of a version that suffices, and as little newer
    /// as possible.
    #[test]
    fn the_cluster_for_a_component_begins_with_the_next_version(
        versions in prop::collection::vec(prop::option::of(30_u16..40), 1..6),
        own in 29_u16..41,
    ) {
        let names = at_least("all", versions.iter().map(|version| version.map(v)));
        let found = names.range(v(own)..).next();
        let next = versions.iter().flatten().filter(|version| **version >= own).min();
        prop_assert_eq!(found.map(|(version, _)| *version), next.map(|version| v(*version)));
        if let Some((version, name)) = found {
            let all_suffice = versions.iter().all(|one| one.is_some_and(|one| v(one) >= *version));
            let expected = if all_suffice { "all".into() } else { at_least_cluster("all", *version) };
            prop_assert_eq!(name, &expected);
        }
    }
}
