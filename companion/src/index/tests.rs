//! The rules of the index, each as a sentence.

mod answering;
mod identity;
mod restart;
mod size;
mod skew_policy;
mod sources;
mod stale;
mod verbs;
mod watch;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use discovery_map::DiscoveryMap;
use serde_json::Value;

use crate::facts::Observation;
use world::{HOUR, World, listed_in};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_type_that_every_peer_serves_goes_to_the_default_cluster() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.members("all"), ["a", "b"]);
    assert_eq!(world.route("apps/v1/nosuch"), "unknown");
    assert!(world.complete());
}

#[test]
fn a_type_that_some_peers_serve_goes_to_their_cluster() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.serves("c", &["apps/v1/x", "new/v1/y"]);
    assert_eq!(world.route("new/v1/y"), "all_b_c");
    assert_eq!(world.members("all_b_c"), ["b", "c"]);
    assert_eq!(world.widest(), [1, 2]);
}

#[test]
fn a_type_that_only_a_dead_peer_served_is_unavailable_until_it_is_back() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    assert!(world.gone("b"));
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.members("all"), ["a"]);
    assert!(world.complete());
    assert!(world.ready_unchanged("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
}

#[test]
fn a_peer_that_is_not_ready_is_out_of_rotation_and_its_types_are_known() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.not_ready("b");
    assert_eq!(world.members("all"), ["a"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
}

#[test]
fn a_ready_peer_that_was_never_read_is_in_rotation_and_the_map_is_incomplete() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.ready_unread("b");
    assert_eq!(world.members("all"), ["a", "b"]);
    assert_eq!(world.route("apps/v1/x"), "all_a");
    assert!(!world.complete());
}

#[test]
fn a_ready_peer_that_cannot_be_read_now_keeps_what_it_served() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    assert!(!world.ready_unread("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
    assert!(world.complete());
}

#[test]
fn a_peer_that_was_never_reached_leaves_the_map_incomplete_until_it_is_forgotten() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    assert!(!world.complete());
    assert!(!world.passes(HOUR / 2));
    assert!(world.passes(HOUR / 2));
    assert!(world.complete());
}

#[test]
fn a_dead_peer_is_forgotten_after_the_configured_time_and_known_again_when_it_is_back() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["new/v1/y"]);
    world.gone("b");
    world.passes(HOUR);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert!(world.index.statuses()[1].forgotten);
    assert!(world.ready_unchanged("b"));
    assert_eq!(world.route("new/v1/y"), "all_b");
}

#[test]
fn a_peer_has_just_left_for_some_seconds_if_it_ever_served() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.gone("c");
    assert!(!world.just_left(), "none has left");
    world.gone("b");
    assert!(world.just_left());
    assert!(!world.passes(SECOND * 4));
    assert!(world.just_left());
    assert!(world.passes(SECOND), "which is pushed");
    assert!(!world.just_left(), "all have seen what it had seen");
    world.ready_unchanged("b");
    world.not_ready("b");
    assert!(world.just_left());
}

#[test]
fn a_peer_that_is_removed_while_it_served_has_just_left_too() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.reconfigure(&["a"]);
    assert!(world.just_left());
    assert!(world.passes(SECOND * 5));
    assert!(!world.just_left());
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    world.reconfigure(&["a"]);
    assert!(!world.just_left(), "it never served");
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.gone("b");
    world.reconfigure(&["a"]);
    assert!(world.just_left(), "it left before it was removed");
}

#[test]
fn the_rotation_has_a_cluster_of_its_own_and_its_addresses_are_in_the_map() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.not_ready("c");
    assert_eq!(world.members("all__rotation"), ["a", "b"]);
    let [a, b, _] = ["a", "b", "c"].map(|name| world.peer(name).address.to_string());
    assert_eq!(world.index.snapshot().map.rotation, [a, b]);
}

/// ADR 0014: without features, a map has only fields of 0.1.0. The one exception is named there.
#[test]
fn every_map_needs_a_filter_that_knows_the_rotation_and_no_newer_one() {
    const FROZEN: &str = include_str!("../../../discovery-map/golden/map-0.1.0.json");
    let frozen: BTreeMap<String, Value> = serde_json::from_str(FROZEN).unwrap();
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    let map = world.index.snapshot().map.to_json().unwrap();
    let map: BTreeMap<String, Value> = serde_json::from_str(&map).unwrap();
    let added: Vec<_> = map.keys().filter(|field| !frozen.contains_key(*field)).collect();
    assert_eq!(added, ["rotation"]);
}

#[test]
fn when_no_peer_is_ready_the_last_rotation_stays_and_nothing_is_forgotten() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.gone("c");
    world.gone("a");
    let before = world.index.snapshot();
    world.not_ready("b");
    let after = world.index.snapshot();
    assert!(after.frozen && !before.frozen);
    assert_eq!(after.clusters, before.clusters);
    assert_eq!(after.map.groups, before.map.groups);
    world.passes(HOUR * 2);
    assert_eq!(world.route("new/v1/y"), "all");
    world.ready_unchanged("a");
    assert!(!world.index.snapshot().frozen);
    assert_eq!(world.members("all"), ["a"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
}

#[test]
fn before_anything_is_known_every_peer_is_in_the_default_cluster() {
    let mut world = World::new(&["a", "b"]);
    world.gone("a");
    assert!(!world.index.all_asked());
    world.gone("b");
    assert!(world.index.all_asked());
    assert_eq!(world.members("all"), ["a", "b"]);
    assert!(!world.complete());
    let document = world.index.snapshot().map;
    assert!(DiscoveryMap::try_from(document).is_ok());
}

#[test]
fn a_peer_removed_from_the_configuration_takes_its_types_along() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.reconfigure(&["a"]);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert_eq!(world.members("all"), ["a"]);
    world.reconfigure(&["a", "c"]);
    assert!(!world.complete());
    assert_eq!(world.route("apps/v1/x"), "all");
}

#[test]
fn an_inconclusive_round_changes_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    let before = world.index.snapshot();
    assert!(!world.report("b", Observation::Inconclusive { reason: "slow".to_owned() }));
    assert_eq!(world.index.snapshot(), before);
    assert_eq!(world.index.statuses()[1].last_error.as_deref(), Some("slow"));
}

#[test]
fn the_same_knowledge_is_the_same_snapshot_whatever_the_order() {
    let mut one = World::new(&["a", "b", "c"]);
    let mut other = World::new(&["a", "b", "c"]);
    let types: [(&str, &[&str]); 3] =
        [("a", &["g/v1/x"]), ("b", &["g/v1/x", "g/v1/y"]), ("c", &["g/v1/y", "h/v1/z"])];
    for (name, types) in types {
        one.serves(name, types);
    }
    for (name, types) in types.into_iter().rev() {
        other.serves(name, types);
    }
    assert_eq!(one.index.snapshot(), other.index.snapshot());
    assert!(!one.serves("a", &["g/v1/x"]));
}

#[test]
fn the_widest_view_is_that_of_the_peers_with_the_most_types_then_of_the_first_name() {
    let mut world = World::new(&["b", "a", "c"]);
    world.serves("a", &["g/v1/x"]);
    world.serves("b", &["g/v1/y"]);
    world.serves("c", &["g/v1/x"]);
    assert_eq!(world.widest(), [1, 2]);
    world.serves("b", &["g/v1/y", "g/v1/z"]);
    assert_eq!(world.widest(), [0]);
    world.gone("b");
    assert_eq!(world.widest(), [1, 2]);
}

#[test]
fn the_peers_in_rotation_decide_the_scope() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["g/v1/x"]);
    world.gone("a");
    world.serves_as("b", listed_in(&["g/v1/x"], true));
    assert_eq!(world.route("g/v1/x"), "all");
    let document = world.index.snapshot().map;
    let by_set = &document.groups["g"].0["v1"].0;
    let resources: Vec<_> = by_set.values().flat_map(|r| &r.cluster_scoped).collect();
    assert_eq!(resources, ["x"]);
}
