//! What a companion may say of servers that it did not see: whether the map is complete.

use std::time::Duration;

use super::world::{HOUR, World};
use crate::index::Memory;
use crate::index::watch::STEADY;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// All of these serve; those called `new…` serve a type more.
fn serve(world: &mut World, names: &[&str]) {
    for name in names {
        let types: &[_] =
            if name.starts_with("new") { &["apps/v1/x", "new/v1/y"] } else { &["apps/v1/x"] };
        world.serves(name, types);
    }
}

/// Returns whether Envoy may let a 404 for the type of the newer servers pass.
fn proves_404(world: &mut World) -> bool {
    world.route("new/v1/y") == "unknown" && world.complete()
}

#[test]
fn of_two_companions_one_without_state_neither_proves_a_404_for_types_of_servers_that_left() {
    let older = ["old-1", "old-2"];
    let mut first = World::sourced(&older);
    serve(&mut first, &older);
    assert!(proves_404(&mut first), "nobody ever had it");
    // An upgrade and its rollback, each by replacement.
    first.source_has(&["new-1", "new-2"]);
    serve(&mut first, &["new-1", "new-2"]);
    let back = ["back-1", "back-2"];
    first.source_has(&back);
    serve(&mut first, &back);
    let mut second = World::without_state(&back);
    serve(&mut second, &back);
    for world in [&mut first, &mut second] {
        assert!(!proves_404(world));
        world.passes(HOUR - SECOND);
        assert!(!proves_404(world));
        assert_eq!(world.route("apps/v1/x"), "all");
        assert!(world.passes(SECOND), "which is pushed");
        assert!(proves_404(world));
    }
}

#[test]
fn a_companion_whose_first_answer_is_partial_waits_for_those_that_come_after_it() {
    let mut world = World::sourced(&[]);
    assert!(!world.complete() || !world.index.has_peers());
    let mut world = World::without_state(&["a"]);
    serve(&mut world, &["a"]);
    world.passes(SECOND);
    // They may have served for long, and one of them cannot be read.
    world.source_has(&["a", "b", "new"]);
    serve(&mut world, &["b"]);
    world.not_ready("new");
    world.passes(HOUR - SECOND);
    assert!(!proves_404(&mut world));
    serve(&mut world, &["new"]);
    assert_eq!(world.route("new/v1/y"), "all_new");
}

#[test]
fn trusted_first_peers_count_as_complete_after_a_minute() {
    let mut world = World::sourced(&["a"]);
    serve(&mut world, &["a"]);
    assert!(proves_404(&mut world));
    let json = serde_json::to_string(&world.index.snapshot().memory).unwrap();
    let memory: Memory = serde_json::from_str(&json).unwrap();
    let mut world = World::restored_with(memory.roster(), memory);
    serve(&mut world, &["a"]);
    assert!(proves_404(&mut world), "over a restart");
}

#[test]
fn a_peer_that_joins_counts_as_soon_as_others_may_use_it() {
    type Round = fn(&mut World) -> bool;
    let rounds: [(Round, bool); 5] = [
        (|_| true, true),
        (|world| world.not_ready("new"), true),
        (|world| world.unreachable("new", true), true),
        // Another companion may reach it, and read what this one cannot.
        (|world| world.unreachable("new", false), false),
        (|world| world.ready_unread("new"), false),
    ];
    for (number, (round, is_unused)) in rounds.into_iter().enumerate() {
        let mut world = World::sourced(&["a"]);
        serve(&mut world, &["a"]);
        world.source_has(&["a", "new"]);
        round(&mut world);
        assert_eq!(proves_404(&mut world), is_unused, "{number}");
        assert_eq!(world.members("all"), ["a"], "it was not read");
        world.not_ready("new");
        assert_eq!(proves_404(&mut world), is_unused, "{number}: from then on");
        world.source_has(&["a"]);
        assert_eq!(proves_404(&mut world), is_unused, "{number}: also when it left");
        world.passes(HOUR);
        assert!(proves_404(&mut world));
    }
}

#[test]
fn a_long_gap_hides_servers_and_a_short_one_does_not() {
    let mut world = World::sourced(&["a"]);
    serve(&mut world, &["a"]);
    world.source_fails();
    world.passes(MINUTE);
    assert!(proves_404(&mut world));
    world.source_has(&["a"]);
    world.source_fails();
    assert!(world.passes(MINUTE * 5), "which is pushed");
    assert!(!proves_404(&mut world));
    world.source_has(&["a"]);
    world.passes(HOUR - SECOND);
    assert!(!proves_404(&mut world));
    world.passes(SECOND);
    assert!(proves_404(&mut world));
}

#[test]
fn a_restart_that_took_long_hides_servers() {
    let mut world = World::sourced(&["a"]);
    serve(&mut world, &["a"]);
    for (ago, is_proof) in [(MINUTE, true), (MINUTE * 5, false)] {
        let memory = Memory { ago, ..world.index.snapshot().memory };
        let mut world = World::restored_with(memory.roster(), memory);
        world.source_has(&["a"]);
        serve(&mut world, &["a"]);
        assert_eq!(proves_404(&mut world), is_proof, "{ago:?}");
    }
}

#[test]
fn an_unread_peer_that_joins_just_after_a_source_failure_keeps_the_map_incomplete() {
    let mut world = World::sourced(&["a"]);
    serve(&mut world, &["a"]);
    world.source_fails();
    world.passes(SECOND);
    world.source_has(&["a", "new"]);
    world.not_ready("new");
    assert!(!proves_404(&mut world));
    world.passes(STEADY);
    world.source_has(&["a", "new", "b"]);
    serve(&mut world, &["new"]);
    world.not_ready("b");
    assert!(world.complete(), "the other one joined later");
}

#[test]
fn companions_that_saw_the_same_leave_have_the_same_map_whatever_the_order() {
    let all = ["a", "b", "c", "new"];
    let maps =
        [[["a", "b", "c"], ["a", "b", "b"]], [["a", "b", "new"], ["a", "b", "b"]]].map(|seen| {
            let mut world = World::sourced(&all);
            serve(&mut world, &all);
            for mut names in seen.map(Vec::from) {
                names.dedup();
                world.source_has(&names);
            }
            world.passes(MINUTE);
            world.index.snapshot().map
        });
    assert_eq!(maps[0].peers.len(), 4);
    assert_eq!(maps[0], maps[1]);
}
