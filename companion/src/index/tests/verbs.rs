//! Who gets requests with a verb that not all peers of a type have.

use discovery_map::Verb::{Create, Get, Patch, Watch};

use super::world::World;

fn verbs(world: &mut World) -> usize {
    world.index.snapshot().map.verbs.len()
}

#[test]
fn a_verb_of_some_peers_goes_to_those_and_all_others_to_every_peer() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x:get", "apps/v1/x/scale:get"]);
    world.serves("b", &["apps/v1/x:get,watch", "apps/v1/x/scale:get"]);
    world.serves("c", &["apps/v1/x:get,watch", "apps/v1/x/scale:get,patch"]);
    let mut route = |verb, target| world.route_by(Some(verb), target);
    assert_eq!(route(Watch, "apps/v1/x"), "all_b_c");
    assert_eq!(route(Get, "apps/v1/x"), "all");
    assert_eq!(route(Patch, "apps/v1/x/scale"), "all_c");
    assert_eq!(route(Patch, "apps/v1/x"), "all", "each of them refuses it");
    assert_eq!(world.members("all_b_c"), ["b", "c"]);
    assert_eq!(verbs(&mut world), 2);
}

#[test]
fn a_map_of_peers_with_the_same_verbs_has_no_verbs() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x:get,create", "apps/v1/y:get"]);
    world.serves("b", &["apps/v1/x:create,get"]);
    assert_eq!(verbs(&mut world), 0);
}

#[test]
fn unknown_verbs_make_no_difference() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x:get,create"]);
    world.serves("b", &["apps/v1/x"]);
    assert_eq!(verbs(&mut world), 0);
}

#[test]
fn a_peer_whose_verbs_are_unknown_may_have_any_that_another_has() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x:get,create"]);
    world.serves("b", &["apps/v1/x:get"]);
    world.serves("c", &["apps/v1/x"]);
    assert_eq!(world.route_by(Some(Create), "apps/v1/x"), "all_a_c");
    assert_eq!(verbs(&mut world), 1);
}

#[test]
fn only_peers_in_rotation_that_serve_the_type_count() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x:get"]);
    world.serves("b", &["apps/v1/x:get,create"]);
    world.serves("c", &["apps/v1/y:get,create"]);
    assert_eq!(world.route_by(Some(Get), "apps/v1/x"), "all_a_b");
    assert_eq!(world.route_by(Some(Create), "apps/v1/x"), "all_b");
    world.gone("b");
    assert_eq!(world.route_by(Some(Create), "apps/v1/x"), "all_a", "405 is the truth now");
    assert_eq!(verbs(&mut world), 0);
}

#[test]
fn a_restarted_companion_knows_the_verbs() {
    let mut world = World::new(&["a", "b"]);
    world.serves("a", &["apps/v1/x:get"]);
    world.serves("b", &["apps/v1/x:get,create"]);
    let json = serde_json::to_string(&world.index.snapshot().memory).unwrap();
    let mut world = World::restored(&["a", "b"], serde_json::from_str(&json).unwrap());
    world.ready_unread("a");
    world.ready_unread("b");
    assert_eq!(world.route_by(Some(Create), "apps/v1/x"), "all_b");
}
