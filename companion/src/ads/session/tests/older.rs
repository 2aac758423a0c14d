//! Envoys that speak the form that always sends everything, and companions that restart.

use proptest::prelude::*;

use super::planes::{Plane, World, planes};
use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Returns the names of what an Envoy has. Endpoints are left out: this form never removes them.
fn names(world: &World) -> BTreeSet<(Kind, String)> {
    world.has.keys().filter(|(kind, _)| *kind != Kind::Endpoints).cloned().collect()
}

/// Returns a snapshot with a map of each of these, while the others have none yet.
fn with_maps(maps: &[&str], chains: &[&str]) -> Arc<Snapshot> {
    let there: Vec<Plane<'_>> =
        maps.iter().map(|&name| (name, "1", [1].as_slice(), "m1")).collect();
    let awaited: Vec<_> = NAMES.into_iter().filter(|name| !maps.contains(name)).collect();
    planes(&there, &awaited, chains)
}

proptest! {
    #[test]
    fn no_companion_that_starts_takes_anything_from_an_envoy_of_the_older_form(
        restarts in proptest::collection::vec(
            (Just(NAMES).prop_shuffle(), any::<bool>(), 0..=NAMES.len()),
            1..4,
        ),
    ) {
        let mut world = World::older();
        let all = with_maps(&NAMES, &NAMES);
        world.settle(&all);
        let before = names(&world);
        prop_assert!(before.len() > 4 * NAMES.len(), "{before:?}");
        for (order, named, enough) in restarts {
            world.reconnect();
            // One map comes after the other, each with its chain or after all chains. Perhaps not all
            // come before the next restart.
            for count in 0..=enough {
                let maps = order.get(..count).unwrap();
                let chains = if named { &NAMES } else { maps };
                world.settle(&with_maps(maps, chains));
                prop_assert_eq!(&names(&world), &before);
            }
        }
        // What is removed goes, and what changes comes.
        world.reconnect();
        world.settle(&planes(&[("a", "2", &[2], "m2")], &[], &["a"]));
        let names = names(&world);
        prop_assert!(names.contains(&(Kind::Clusters, "a_m2".to_owned())), "{:?}", names);
        prop_assert!(names.iter().all(|(_, name)| !name.starts_with(['b', 'c', 'd'])), "{:?}", names);
    }
}

#[test]
fn a_new_envoy_of_the_older_form_waits_for_no_other_control_plane() {
    let mut world = World::older();
    let came = world.settle(&with_maps(&["a"], &["a"]));
    assert!(came.contains(&"listeners listener".to_owned()), "{came:?}");
    // In this stream, the Envoy has what it was sent.
    let mut changed = Snapshot::clone(&with_maps(&["a"], &["a"]));
    changed.parts = planes(&[("a", "2", &[1], "m2")], &[], &[]).parts.clone();
    let came = world.settle(&Arc::new(changed));
    assert!(came.iter().any(|text| text.contains("a_m2")), "{came:?}");
}
