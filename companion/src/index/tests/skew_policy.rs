//! The clusters for components, whose peers are at least as new as themselves.

use discovery_map::{DiscoveryMap, MinorVersion, SetEntry};

use super::world::{HOUR, World};
use crate::config::{AnsweringPolicy, SkewPolicy};

/// Peers on which only the newer ones have a type of their own, and only the older ones another.
fn upgrading() -> World {
    let mut world = World::new(&["a", "b", "c", "d"]);
    world.serves_as_version("a", "1.35", &["apps/v1/x", "old/v1/z"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x", "new/v1/y"]);
    world.serves_as_version("c", "1.36", &["apps/v1/x", "new/v1/y"]);
    world.serves_as_version("d", "1.37", &["apps/v1/x", "new/v1/y"]);
    world
}

/// The versions of the set with this cluster, and the cluster of each.
fn at_least(world: &mut World, cluster: &str) -> Vec<(String, String)> {
    let map = world.index.snapshot().map;
    let set = map.sets.into_iter().find(|set| set.cluster.as_deref() == Some(cluster));
    let versions = set.unwrap().at_least.into_iter();
    versions.map(|(version, name)| (version.to_string(), name)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(version, name)| ((*version).to_owned(), (*name).to_owned())).collect()
}

/// Returns the names of the clusters for components.
fn for_components(world: &mut World) -> Vec<String> {
    let clusters = world.index.snapshot().clusters.into_iter().map(|cluster| cluster.name);
    clusters.filter(|name| name.contains("__from-")).collect()
}

#[test]
fn each_set_has_a_cluster_for_each_of_its_versions_but_the_oldest() {
    let mut world = upgrading();
    let all = [("1.35", "all"), ("1.36", "all__from-1-36"), ("1.37", "all__from-1-37")];
    assert_eq!(at_least(&mut world, "all"), pairs(&all));
    let newer = [("1.36", "all_b_c_d"), ("1.37", "all_b_c_d__from-1-37")];
    assert_eq!(at_least(&mut world, "all_b_c_d"), pairs(&newer));
    assert_eq!(at_least(&mut world, "all_a"), pairs(&[("1.35", "all_a")]));
    let clusters = [
        "all__from-1-36",
        "all__from-1-37",
        "all__rotation__from-1-36",
        "all__rotation__from-1-37",
        "all_b_c_d__from-1-37",
    ];
    assert_eq!(for_components(&mut world), clusters);
    let snapshot = world.index.snapshot();
    let versions: Vec<_> = snapshot.map.peers.iter().filter_map(|peer| peer.version).collect();
    assert_eq!(versions, [35, 36, 36, 37].map(|minor| MinorVersion::new(1, minor)));
    assert!(DiscoveryMap::try_from(snapshot.map).unwrap().versions_differ());
}

#[test]
fn peers_that_are_new_enough_come_first_the_answering_version_then_the_oldest() {
    let mut world = upgrading();
    // 1.36 answers.
    assert_eq!(world.levels("all"), [vec!["b", "c"], vec!["d"], vec!["a"]]);
    assert_eq!(world.levels("all__from-1-36"), [vec!["b", "c"], vec!["d"], vec!["a"]]);
    assert_eq!(world.levels("all__from-1-37"), [vec!["d"], vec!["b", "c"], vec!["a"]]);
    world.set_policy(AnsweringPolicy::Oldest);
    assert_eq!(world.levels("all__from-1-36"), [vec!["b", "c"], vec!["d"], vec!["a"]]);
    world.set_policy(AnsweringPolicy::Newest);
    assert_eq!(world.levels("all__from-1-36"), [vec!["d"], vec!["b", "c"], vec!["a"]]);
    world.set_policy(AnsweringPolicy::Any);
    assert_eq!(world.levels("all__from-1-36"), [vec!["b", "c", "d"], vec!["a"]]);
}

#[test]
fn after_a_type_level_404_all_peers_that_are_new_enough_are_on_one_level() {
    let mut world = upgrading();
    assert_eq!(world.levels("all__rotation__from-1-36")[0], ["b", "c", "d"]);
    assert_eq!(world.levels("all__rotation__from-1-37")[0], ["d"]);
    assert_eq!(world.members("all__rotation__from-1-37").len(), 4);
}

#[test]
fn the_emulated_version_of_a_peer_counts() {
    let mut world = World::new(&["a", "b"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.emulates("b", "1.37", "1.36", &["apps/v1/x"]);
    assert_eq!(for_components(&mut world), [""; 0]);
    world.serves_as_version("b", "1.37", &["apps/v1/x"]);
    assert_eq!(world.levels("all__from-1-37"), [["b"], ["a"]]);
}

#[test]
fn a_peer_of_unknown_version_answers_components_last() {
    let mut world = World::new(&["a", "b", "c"]);
    world.serves("a", &["apps/v1/x"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x"]);
    world.serves_as_version("c", "1.37", &["apps/v1/x"]);
    assert_eq!(world.levels("all__from-1-36"), [["b"], ["c"], ["a"]]);
    assert_eq!(world.levels("all__from-1-37"), [["c"], ["b"], ["a"]]);
}

#[test]
fn the_policy_has_no_effect_if_it_is_ignored_or_all_peers_have_one_version() {
    let mut world = World::new(&["a", "b"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.36", &["apps/v1/x", "new/v1/y"]);
    let mut ignoring = upgrading();
    ignoring.set_skew_policy(SkewPolicy::Ignore);
    for mut world in [world, ignoring] {
        assert_eq!(for_components(&mut world), [""; 0]);
        let map = world.index.snapshot().map;
        assert!(map.sets.iter().all(|SetEntry { at_least, .. }| at_least.is_empty()));
        assert!(map.peers.iter().all(|peer| peer.version.is_none()));
    }
}

#[test]
fn components_are_told_from_others_until_the_last_newer_peer_is_forgotten() {
    let mut world = World::new(&["a", "b"]);
    world.serves_as_version("a", "1.36", &["apps/v1/x"]);
    world.serves_as_version("b", "1.37", &["apps/v1/x"]);
    world.gone("b");
    assert_eq!(at_least(&mut world, "all"), pairs(&[("1.36", "all")]));
    assert_eq!(for_components(&mut world), [""; 0]);
    world.passes(HOUR);
    assert_eq!(at_least(&mut world, "all"), pairs(&[]));
}

#[test]
fn the_local_peer_is_the_first_of_its_version() {
    let mut world = upgrading();
    world.set_local("c");
    assert_eq!(world.levels("all__from-1-36"), [["c"], ["b"], ["d"], ["a"]]);
    assert_eq!(world.levels("all__from-1-37"), [["d"], ["c"], ["b"], ["a"]]);
}

#[test]
fn fixed_clusters_have_only_peers_that_are_new_enough() {
    let mut world = upgrading();
    world.set_fixed_clusters();
    assert_eq!(world.members("all__from-1-37"), ["d"]);
    assert_eq!(world.members("all__rotation__from-1-36"), ["b", "c", "d"]);
}
