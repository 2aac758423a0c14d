//! Which peers answer what all can answer, and in which order the others follow.

use super::world::World;
use crate::config::AnsweringPolicy;
use discovery_map::Mode;

/// Three peers on which only the newest has a type of its own.
fn upgrading() -> World {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x"]);
    world.serves_as_version("c", "1.37", &["apps/v1/x", "new/v1/y"]);
    world
}

#[test]
fn the_peers_of_the_answering_version_are_the_first_level_of_a_cluster() {
    let mut world = upgrading();
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]]);
    assert_eq!(world.levels("all_c"), [["c"]]);
    assert_eq!(world.answering(), ["a", "b"]);
}

#[test]
fn peers_of_one_version_are_on_one_level() {
    let mut world = World::new(&["a", "b"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [["a", "b"]]);
    assert_eq!(world.answering(), ["a", "b"]);
}

#[test]
fn with_the_policy_any_all_peers_answer() {
    let mut world = upgrading();
    world.set_policy(AnsweringPolicy::Any);
    assert_eq!(world.levels("all"), [["a", "b", "c"]]);
    assert_eq!(world.answering(), ["a", "b", "c"]);
    world.set_policy(AnsweringPolicy::Newest);
    assert_eq!(world.levels("all"), [vec!["c"], vec!["a", "b"]]);
    world.set_policy(AnsweringPolicy::Oldest);
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn in_shadow_mode_no_version_is_preferred_and_the_mode_is_in_the_map() {
    let mut world = upgrading();
    world.set_mode(Mode::Shadow);
    assert_eq!(world.levels("all"), [["a", "b", "c"]]);
    assert_eq!(world.index.snapshot().map.mode, Mode::Shadow);
    for mode in [Mode::Reroute, Mode::Enforce] {
        world.set_mode(mode);
        assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]]);
        assert_eq!(world.index.snapshot().map.mode, mode);
    }
}

#[test]
fn of_a_set_without_the_answering_version_the_newest_peers_answer() {
    let mut world = World::new(&["a", "b", "c", "d"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x"]);
    world.serves_as_version("c", "1.35", &["apps/v1/x", "odd/v1/y"]);
    world.serves_as_version("d", "1.37", &["apps/v1/x", "odd/v1/y"]);
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["d"], vec!["c"]]);
    assert_eq!(world.levels("all_c_d"), [["d"], ["c"]]);
}

#[test]
fn the_peer_that_is_asked_first_does_not_decide() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves_as_version("c", "1.37", &["apps/v1/x"]);
    assert_eq!(world.index.answering_version(), None);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [["a", "c"]], "undecided");
    world.gone("b");
    assert_eq!(world.levels("all"), [["a"], ["c"]]);
}

#[test]
fn another_version_answers_after_some_seconds_and_that_is_a_change() {
    let mut world = upgrading();
    world.gone("b");
    world.serves_as_version("b", "1.37", &["apps/v1/x", "new/v1/y"]);
    assert_eq!(world.levels("all"), [vec!["a"], vec!["b", "c"]]);
    let changes: Vec<_> = (0..10).map(|_| world.passes_seconds(1)).collect();
    assert_eq!(changes.iter().filter(|changed| **changed).count(), 1);
    assert_eq!(world.levels("all"), [vec!["b", "c"], vec!["a"]]);
    assert_eq!(world.answering(), ["b", "c"]);
}

#[test]
fn while_no_peer_is_ready_the_answering_version_stays() {
    let mut world = upgrading();
    for peer in ["a", "b", "c"] {
        world.gone(peer);
    }
    // The last one that left was the rotation, and its version answered.
    assert_eq!(world.levels("all"), [["c"]]);
    world.passes_seconds(600);
    assert_eq!(world.index.answering_version().unwrap().to_string(), "1.37");
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    assert_eq!(world.index.answering_version().unwrap().to_string(), "1.36");
}

#[test]
fn a_peer_whose_version_is_not_known_answers_last_and_has_no_vote() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves("b", &["apps/v1/x"]);
    world.serves_as_version("c", "1.36", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [vec!["c"], vec!["a", "b"]]);
}

#[test]
fn a_peer_that_is_back_has_the_version_that_is_read_then() {
    let mut world = upgrading();
    world.gone("b");
    world.serves("b", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [["a"], ["c"], ["b"]]);
    world.serves_as_version("b", "1.36", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]]);
    world.serves("b", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]], "not read in each round");
}

#[test]
fn a_server_that_emulates_a_version_counts_as_that_version() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.37", &["apps/v1/x"]);
    world.emulates("c", "1.37", "1.36", &["apps/v1/x"]);
    assert_eq!(world.levels("all"), [vec!["a", "c"], vec!["b"]]);
}

#[test]
fn a_restarted_companion_knows_which_version_answered() {
    for first in ["1.36", "1.37"] {
        let mut world = World::new(&["a", "b"]);
        world.serves_as_version("a", first, &["apps/v1/x"]);
        world.serves_as_version("b", first, &["apps/v1/x"]);
        world.gone("b");
        let other = if first == "1.36" { "1.37" } else { "1.36" };
        world.serves_as_version("b", other, &["apps/v1/x"]);
        let json = serde_json::to_string(&world.index.snapshot().memory).unwrap();
        let mut world = World::restored(&["a", "b"], serde_json::from_str(&json).unwrap());
        assert_eq!(world.levels("all"), [["a"], ["b"]], "nobody was asked");
        world.serves_as_version("b", other, &["apps/v1/x"]);
        world.serves_as_version("a", first, &["apps/v1/x"]);
        world.passes_seconds(600);
        assert_eq!(world.levels("all"), [["a"], ["b"]]);
    }
}

#[test]
fn of_each_version_the_local_peer_is_before_the_others() {
    let mut world = upgrading();
    world.set_local("b");
    assert_eq!(world.levels("all"), [["b"], ["a"], ["c"]]);
    assert_eq!(world.levels("all__rotation"), [["a", "b", "c"]]);
    world.set_local("c");
    assert_eq!(world.levels("all"), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn the_local_peer_has_a_cluster_whether_or_not_it_is_in_rotation() {
    let mut world = upgrading();
    world.set_local("b");
    assert_eq!(world.levels("all__local"), [["b"]]);
    world.unreachable("b", true);
    assert_eq!(world.members("all"), ["a", "c"]);
    assert_eq!(world.levels("all__local"), [["b"]]);
}
