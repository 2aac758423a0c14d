//! What a restarted companion knows.

use std::time::Duration;

use super::world::{HOUR, World};

const SECOND: Duration = Duration::from_secs(1);

/// Two peers that serve, with their versions.
fn two() -> World {
    let mut world = World::new(&["a", "b"]);
    for peer in ["a", "b"] {
        world.serves_as_version(peer, "1.36", &["apps/v1/x"]);
    }
    world
}

#[test]
fn a_restarted_companion_knows_what_it_knew() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x", "new/v1/y"]);
    world.gone("b");
    world.passes(HOUR / 2);
    let before = world.index.snapshot();
    let json = serde_json::to_string(&before.memory).unwrap();
    let memory = serde_json::from_str(&json).unwrap();

    let mut world = World::restored(&["a", "b"], memory);
    world.gone("b");
    world.ready_unread("a");
    assert_eq!(world.index.snapshot().map, before.map);
    world.passes(HOUR / 2);
    assert_eq!(world.route("new/v1/y"), "unknown", "half the time had passed before");
}

#[test]
fn a_restarted_companion_that_reaches_no_peer_keeps_the_last_rotation() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    let before = world.index.snapshot();
    let mut world = World::restored(&["a", "b"], before.memory);
    world.gone("a");
    world.gone("b");
    assert_eq!(world.members("all"), ["a"]);
    assert!(world.index.snapshot().frozen);
}

#[test]
fn a_peer_with_another_address_is_another_peer() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["new/v1/y"]);
    let mut memory = world.index.snapshot().memory;
    memory.peers[1].address.set_port(1);
    let mut world = World::restored(&["a", "b"], memory);
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert!(!world.complete());
}

#[test]
fn a_state_without_types_leaves_the_map_incomplete_until_the_peers_are_read() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["new/v1/y"]);
    let mut json = serde_json::to_value(&world.index.snapshot().memory).unwrap();
    json["peers"][1].as_object_mut().unwrap().remove("belief").unwrap();
    let mut world = World::restored(&["a", "b"], serde_json::from_value(json).unwrap());
    world.ready_unread("a");
    world.gone("b");
    assert_eq!(world.route("apps/v1/x"), "all");
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert!(!world.complete());
}

#[test]
fn a_peer_that_left_before_a_restart_has_just_left_for_the_rest_of_the_time() {
    let mut world = two();
    world.gone("b");
    world.passes(SECOND);
    let mut world = World::restored(&["a", "b"], world.index.snapshot().memory);
    assert!(world.just_left());
    world.ready_unchanged("a");
    world.gone("b");
    world.passes(SECOND * 3);
    assert!(world.just_left());
    assert!(world.passes(SECOND));
    assert!(!world.just_left());
    let memory = world.index.snapshot().memory;
    assert!(!World::restored(&["a", "b"], memory).just_left(), "the time was over before");
}

#[test]
fn a_peer_that_is_removed_while_the_companion_does_not_run_has_just_left() {
    let leaves = [
        |_: &mut World| (),
        |world: &mut World| {
            world.gone("b");
        },
    ];
    for leave in leaves {
        let mut world = two();
        leave(&mut world);
        let mut world = World::restored(&["a"], world.index.snapshot().memory);
        world.passes(SECOND * 6);
        world.ready_unchanged("a");
        assert!(world.just_left(), "Envoy learns of it by the first map only");
        world.passes(SECOND * 4);
        assert!(world.just_left());
        assert!(world.passes(SECOND));
        assert!(!world.just_left());
    }
    let mut world = two();
    world.gone("b");
    world.passes(SECOND * 5);
    assert!(!World::restored(&["a"], world.index.snapshot().memory).just_left());
}

#[test]
fn a_peer_whose_address_changed_in_a_restart_has_just_left() {
    let mut memory = two().index.snapshot().memory;
    memory.peers[1].address.set_port(1);
    assert!(World::restored(&["a", "b"], memory).just_left());
}
