//! Who serves a group-version that some peers call stale.

use super::world::{World, listed_stale};

const METRICS: &str = "m.io/v1/nodes";

fn stale(world: &mut World, name: &str, types: &[&str]) {
    world.serves_as(name, listed_stale(types, &["m.io/v1", "apps/v1"]));
}

#[test]
fn a_peer_that_calls_a_version_stale_does_not_serve_it_while_another_lists_it_afresh() {
    let mut world = World::new(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        world.serves(name, &[METRICS, "apps/v1/x"]);
    }
    assert_eq!(world.route(METRICS), "all");
    world.serves_as("c", listed_stale(&["m.io/v1/nodes", "apps/v1/x"], &["m.io/v1"]));
    assert_eq!(world.route(METRICS), "all_a_b");
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.version("m.io/v1"), "all_a_b", "the version's own document");
    assert_eq!(world.widest(), [0, 1]);
    world.serves("c", &[METRICS, "apps/v1/x"]);
    assert_eq!(world.route(METRICS), "all");
}

#[test]
fn if_all_call_a_version_stale_all_serve_what_was_known() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &[METRICS]);
    stale(&mut world, "b", &[METRICS]);
    assert_eq!(world.route(METRICS), "all_a");
    stale(&mut world, "a", &[METRICS]);
    assert_eq!(world.route(METRICS), "all");
}

#[test]
fn only_peers_in_rotation_are_fresh() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &[METRICS]);
    stale(&mut world, "b", &[METRICS]);
    world.gone("a");
    assert_eq!(world.members("all"), ["b"]);
    assert_eq!(world.route(METRICS), "all");
}

#[test]
fn a_type_that_no_fresh_peer_lists_is_gone_unless_it_is_built_in() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &[METRICS, "apps/v1/x"]);
    stale(&mut world, "b", &[METRICS, "m.io/v1/pods", "apps/v1/x", "apps/v1/y"]);
    assert_eq!(world.route("m.io/v1/pods"), "unknown");
    assert_eq!(world.route("apps/v1/x"), "all_a");
    assert_eq!(world.route("apps/v1/y"), "all_b", "a newer peer has more built-in types");
}

#[test]
fn a_restarted_companion_knows_who_called_a_version_stale() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &[METRICS]);
    stale(&mut world, "b", &[METRICS]);
    let json = serde_json::to_string(&world.index.snapshot().memory).unwrap();
    let mut world = World::restored(&["a", "b"], serde_json::from_str(&json).unwrap());
    world.ready_unread("a");
    world.ready_unread("b");
    assert_eq!(world.route(METRICS), "all_a");
}
