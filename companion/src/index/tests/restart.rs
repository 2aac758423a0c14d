//! What a restarted companion knows.

use super::world::{HOUR, World};

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
