//! Peers that a source has, and has no more.

use std::time::Duration;

use discovery_map::DiscoveryMap;

use super::world::{HOUR, World};
use crate::config::MAX_PEERS;
use crate::facts::Roster;

const SECOND: Duration = Duration::from_secs(1);

/// Two older servers and a newer one, which alone serves a type.
fn world() -> World {
    let mut world = World::sourced(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.serves("c", &["apps/v1/x", "new/v1/y"]);
    world
}

/// Returns the names of all peers, with a `-` after those that left.
fn names(world: &World) -> Vec<String> {
    let peers = world.index.statuses().into_iter();
    peers.map(|peer| format!("{}{}", peer.name, if peer.left { "-" } else { "" })).collect()
}

#[test]
fn a_peer_that_left_its_source_is_remembered_as_one_that_died() {
    let mut world = world();
    assert_eq!(world.route("new/v1/y"), "all_c");
    world.source_has(&["a", "b"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert_eq!(world.members("all"), ["a", "b"]);
    assert!(world.complete() && world.just_left());
    world.passes(HOUR / 2);
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert_eq!(names(&world), ["a", "b", "c-"]);
    assert!(world.passes(HOUR / 2));
    assert_eq!(world.route("new/v1/y"), "unknown");
    assert_eq!(names(&world), ["a", "b"]);
}

#[test]
fn a_peer_that_left_its_source_is_remembered_when_a_list_replaces_it_also_over_a_restart() {
    let mut world = world();
    world.source_has(&["a", "b"]);
    let listed = Roster { by_hand: true, ..world.roster.clone() };
    world.follow(listed.clone());
    assert_eq!(world.route("new/v1/y"), "unavailable");
    let memory = world.index.snapshot().memory;
    let world = World::restored_with(listed, memory);
    assert_eq!(names(&world), ["a", "b", "c-"], "no person removed it");
}

#[test]
fn a_peer_that_the_source_has_again_is_the_same() {
    let mut world = world();
    world.source_has(&["a", "b"]);
    world.passes(SECOND);
    world.source_has(&["a", "b", "c"]);
    assert_eq!(world.members("all"), ["a", "b"], "it may have changed");
    world.ready_unchanged("c");
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    assert_eq!(world.route("new/v1/y"), "all_c");
}

#[test]
fn a_late_answer_of_a_peer_that_left_is_ignored() {
    let mut world = world();
    let peer = world.peer("c");
    world.source_has(&["a", "b"]);
    world.roster.peers.push(peer);
    assert!(!world.ready_unchanged("c"));
    assert_eq!(world.members("all"), ["a", "b"]);
}

#[test]
fn a_peer_that_joins_gets_no_requests_before_it_is_ready_and_was_read() {
    let mut world = world();
    world.source_has(&["a", "b", "c", "d"]);
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    assert!(world.complete(), "nobody could use what it serves");
    world.not_ready("d");
    world.ready_unread("d");
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    assert!(!world.complete(), "another companion may have read it");
    world.serves("d", &["apps/v1/x", "new/v1/y"]);
    assert_eq!(world.members("all"), ["a", "b", "c", "d"]);
    assert_eq!(world.route("new/v1/y"), "all_c_d");
}

#[test]
fn a_peer_that_served_unread_keeps_the_map_incomplete_when_it_leaves() {
    let mut world = World::sourced(&["a"]);
    world.serves("a", &["apps/v1/x"]);
    world.source_has(&["d"]);
    // No other is ready, so it gets the requests, and may have new types.
    world.ready_unread("d");
    assert_eq!(world.members("all"), ["d"]);
    world.source_has(&["e"]);
    world.serves("e", &["apps/v1/x"]);
    assert!(!world.complete());
}

#[test]
fn a_peer_that_joined_and_was_never_ready_leaves_nothing_behind() {
    let mut world = world();
    world.source_has(&["a", "b", "c", "d"]);
    world.not_ready("d");
    world.source_has(&["a", "b", "c"]);
    assert_eq!(names(&world), ["a", "b", "c"]);
    assert!(world.complete());
}

#[test]
fn an_unread_peer_that_was_there_first_keeps_the_map_incomplete_though_it_left() {
    let mut world = World::sourced(&["a", "b"]);
    world.serves("a", &["apps/v1/x"]);
    world.gone("b");
    world.source_has(&["a"]);
    assert!(!world.complete());
    assert!(world.passes(HOUR));
    assert!(world.complete());
}

#[test]
fn when_all_are_replaced_at_once_the_old_ones_stay_until_a_new_one_is_read() {
    let mut world = world();
    world.source_has(&["d", "e", "f"]);
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    world.not_ready("d");
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    world.serves("e", &["apps/v1/x"]);
    assert_eq!(world.members("all"), ["e"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert!(world.complete());
}

#[test]
fn a_peer_that_left_gets_no_requests_once_another_server_has_its_address() {
    let mut world = world();
    let mut taker = world.peer("a");
    taker.name = "d".parse().unwrap();
    world.follow(Roster { peers: vec![taker], by_hand: false, fresh: true });
    assert_eq!(world.members("all"), ["b", "c"]);
    world.serves("d", &["apps/v1/x"]);
    assert_eq!(world.index.snapshot().map.rotation, [world.peer("d").address.to_string()]);
}

#[test]
fn a_peer_that_left_is_renamed_if_a_new_peer_has_its_name() {
    let mut world = world();
    let (a, mut b) = (world.peer("a"), world.peer("c"));
    let before = b.address;
    b.address.set_port(7);
    world.follow(Roster { peers: vec![a.clone(), b], by_hand: false, fresh: true });
    let renamed = format!("10-0-0-1-{}-", before.port());
    assert_eq!(names(&world), ["a", "c", "b-", &renamed]);
    world.serves("c", &["apps/v1/x"]);
    assert_eq!(world.route("new/v1/y"), "unavailable", "the other one had it");
    assert!(DiscoveryMap::try_from(world.index.snapshot().map).is_ok());
    world.source_has(&["a", "c"]);
    world.serves("c", &["apps/v1/x", "new/v1/y"]);
    assert_eq!(names(&world), ["a", "c", "b-", "10-0-0-1-7-"]);
    assert_eq!(world.route("new/v1/y"), "all_c", "it is back");
}

#[test]
fn peers_that_left_are_remembered_over_a_restart_and_the_others_are_the_first_peers() {
    let mut world = world();
    world.source_has(&["a", "b"]);
    world.passes(HOUR / 2);
    let json = serde_json::to_string(&world.index.snapshot().memory).unwrap();
    let memory: crate::index::Memory = serde_json::from_str(&json).unwrap();
    let roster = memory.roster();
    let kept: Vec<_> = roster.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(kept, ["a", "b"]);
    let mut world = World::restored_with(roster, memory);
    world.ready_unchanged("a");
    assert_eq!(world.route("new/v1/y"), "unavailable");
    world.passes(HOUR / 2);
    assert_eq!(world.route("new/v1/y"), "unknown");
}

#[test]
fn a_peer_that_joined_gets_no_requests_after_a_restart_either_and_may_have_been_used() {
    let mut world = world();
    world.source_has(&["a", "b", "c", "d"]);
    world.not_ready("d");
    let memory = world.index.snapshot().memory;
    let mut world = World::restored_with(memory.roster(), memory);
    world.ready_unchanged("a");
    world.ready_unread("d");
    assert_eq!(world.members("all"), ["a", "b", "c"]);
    world.source_has(&["a", "b", "c"]);
    assert!(!world.complete(), "it may have been ready while nobody looked");
    assert_eq!(names(&world), ["a", "b", "c", "d-"]);
}

#[test]
fn a_list_in_place_of_a_source_forgets_nothing_and_its_own_entries_at_once() {
    let mut world = world();
    world.reconfigure(&["a", "b"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
    world.reconfigure(&["a"]);
    assert_eq!(names(&world), ["a", "c-"]);
    assert_eq!(world.route("new/v1/y"), "unavailable");
}

#[test]
fn if_too_many_peers_left_those_with_types_of_their_own_are_remembered() {
    let mut world = world();
    for round in 0..MAX_PEERS {
        let name = format!("p-{}", "x".repeat(round % 50) + &round.to_string());
        let mut peer = world.peer("a");
        peer.name = name.parse().unwrap();
        peer.address.set_port(u16::try_from(10_000 + round).unwrap());
        let a = world.peer("a");
        world.follow(Roster { peers: vec![a, peer], by_hand: false, fresh: true });
        world.serves(&name, &["apps/v1/x"]);
        world.passes(SECOND);
    }
    assert_eq!(names(&world).len(), MAX_PEERS);
    assert_eq!(world.route("new/v1/y"), "unavailable");
    assert!(names(&world).contains(&"c-".to_owned()));
    assert!(world.complete(), "those that were forgotten had what others have");
}

#[test]
fn if_too_many_peers_left_unread_ones_are_forgotten_before_types_and_leave_the_map_incomplete() {
    let mut world = world();
    let all = |number: usize| {
        let names = (0..number).map(|number| format!("u-{number}")).collect::<Vec<_>>();
        ["a".to_owned()].into_iter().chain(names).collect::<Vec<_>>()
    };
    let names_of = all(MAX_PEERS - 3);
    let borrowed: Vec<_> = names_of.iter().map(String::as_str).collect();
    world.source_has(&borrowed);
    // Ready, but they cannot be read; with the two that left, there are as many as fit.
    for name in &borrowed[1..] {
        world.ready_unread(name);
    }
    assert_eq!(names(&world).len(), MAX_PEERS);
    let left = |world: &World, name: &str| {
        names(world).iter().filter(|peer| peer.starts_with(name)).count()
    };
    world.source_has(&["a", "n"]);
    assert_eq!((left(&world, "b"), left(&world, "u")), (0, 125), "others have what it had");
    world.source_has(&["a", "n", "o", "p"]);
    assert_eq!((left(&world, "c"), left(&world, "u")), (1, 123), "it alone has a type");
    assert_eq!(world.route("new/v1/y"), "unavailable");
    world.serves("a", &["apps/v1/x"]);
    world.passes(HOUR - SECOND);
    assert!(!world.complete());
}
