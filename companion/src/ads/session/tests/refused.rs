//! Listeners that an Envoy refuses: because of a chain, or of what all chains share.

use super::planes::{Plane, World, chains, planes, planes_on};
use super::*;

fn plane(name: &str) -> Plane<'_> {
    (name, "1", &[1], "m1")
}

fn all<'n>(names: &[&'n str]) -> Vec<Plane<'n>> {
    names.iter().map(|name| plane(name)).collect()
}

/// Settles. Returns how many listeners the Envoy refused on the way.
fn refusals(world: &mut World, target: &Arc<Snapshot>) -> usize {
    let came = world.settle(target);
    came.iter().filter(|text| *text == "!listeners listener").count()
}

#[test]
fn after_a_restart_a_changed_chain_that_is_refused_is_tried_again_and_blames_no_new_one() {
    let mut world = World::new();
    let names = ["a", "b", "d", "e"];
    world.settle(&planes(&all(&["a", "b"]), &[], &["a", "b"]));
    world.bad.insert("b/2".to_owned());
    world.reconnect();
    let changed = planes(&all(&["a", "b"]), &[], &["a", "b/2"]);
    // Nobody knows the form that the Envoy has, so it keeps all of the listener.
    assert_eq!(refusals(&mut world, &changed), 1);
    assert_eq!(
        (chains(&world), world.blamed.as_slice()),
        (vec!["a".into(), "b".into()], &[String::new()][..])
    );
    assert!(world.session.leaves_out());
    assert!(world.settle(&changed).is_empty());
    // New ones wait, and are not blamed.
    let more = planes(&all(&names), &[], &["a", "b/2", "d", "e"]);
    assert_eq!(refusals(&mut world, &more), 2);
    assert_eq!(
        (chains(&world), &world.blamed),
        (vec!["a".into(), "b".into()], &vec![String::new(); 2])
    );
    world.session.retry();
    assert_eq!(refusals(&mut world, &more), 2);
    world.bad.clear();
    world.session.retry();
    assert_eq!(refusals(&mut world, &more), 0);
    assert_eq!(chains(&world), names);
    assert!(!world.session.leaves_out());
}

#[test]
fn after_a_restart_a_new_chain_that_is_refused_is_found() {
    let mut world = World::new();
    world.settle(&planes(&all(&["a", "b"]), &[], &["a", "b"]));
    world.bad.insert("d".to_owned());
    world.reconnect();
    let target = planes(&all(&["a", "b", "c", "d"]), &[], &["a", "b/2", "c", "d"]);
    world.settle(&target);
    assert_eq!(
        (chains(&world), world.blamed),
        (["a", "b", "c"].map(String::from).into(), vec!["d".into()])
    );
}

#[test]
fn a_listener_that_is_refused_whatever_its_chains_blames_none_of_them() {
    let mut world = World::new();
    world.bad.insert("base".to_owned());
    let names: Vec<_> = (100..400).map(|number| format!("p{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let target = planes(&all(&names), &[], &names);
    let refused = refusals(&mut world, &target);
    // Not two for each control plane.
    assert!(refused < 30, "{refused}");
    assert_eq!(world.blamed, [""]);
    assert!(world.session.leaves_out());
    assert!(world.settle(&target).is_empty());
    // A change of another kind does not begin it all again.
    let (_, fewer) = names.split_last().unwrap();
    assert!(refusals(&mut world, &planes(&all(&names), &[], fewer)) <= 2);
    world.bad.clear();
    world.session.retry();
    assert_eq!(refusals(&mut world, &target), 0);
    assert_eq!(chains(&world), names);
}

#[test]
fn a_listener_that_is_refused_is_sent_again_when_what_its_chains_share_changes() {
    let mut world = World::new();
    world.bad.insert("base".to_owned());
    let names = ["a", "b", "c"];
    world.settle(&planes(&all(&names), &[], &names));
    assert!(chains(&world).is_empty());
    assert_eq!(refusals(&mut world, &planes_on("base-2", &all(&names), &[], &names)), 0);
    assert_eq!(chains(&world), names);
    assert_eq!(world.blamed, [""]);
}

#[test]
fn an_envoy_keeps_what_all_chains_share_if_it_refuses_the_next_form_of_it() {
    let mut world = World::new();
    world.settle(&planes(&all(&["a", "b"]), &[], &["a", "b"]));
    world.bad.extend(["base-2", "c"].map(str::to_owned));
    let names = ["a", "b", "c", "d"];
    let target = planes_on("base-2", &all(&names), &[], &["a/2", "b", "c", "d"]);
    world.settle(&target);
    assert_eq!(
        (chains(&world), &world.blamed),
        (["a", "b", "d"].map(String::from).into(), &vec![String::new(), "c".into()])
    );
    let base = |world: &World| {
        let listener = &world.has[&(Kind::Listeners, "listener".to_owned())];
        let listener = listener.listener.as_ref().unwrap();
        (listener.base.version.clone(), listener.chains["a"].chain.version.clone())
    };
    assert_eq!(base(&world), ("base".to_owned(), "a/2".to_owned()));
    assert!(world.session.leaves_out());
    world.bad.remove("base-2");
    world.session.retry();
    world.settle(&target);
    assert_eq!((base(&world), chains(&world).len()), (("base-2".to_owned(), "a/2".to_owned()), 3));
}

#[test]
fn a_listener_of_another_name_that_is_refused_takes_nothing_from_an_envoy() {
    let mut world = World::new();
    let names = ["a", "b"];
    let before = planes(&all(&names), &[], &names);
    world.settle(&before);
    world.bad.insert("base-2".to_owned());
    let mut target = Snapshot::clone(&planes_on("base-2", &all(&names), &[], &names));
    let mut listeners = crate::ads::snapshot::Listeners::clone(target.listeners.as_ref().unwrap());
    let (_, resource) = listeners.all.pop_first().unwrap();
    let listener = resource.listener.clone().unwrap();
    let renamed = crate::ads::resource::Listener { name: "renamed".to_owned(), ..listener };
    listeners.all.insert("renamed".to_owned(), Arc::new(Resource::of_listener(renamed)));
    target.listeners = Some(Arc::new(listeners));
    let came = world.settle(&Arc::new(target));
    let (last, refused) = came.split_last().unwrap();
    assert!(refused.iter().all(|text| text == "!listeners renamed"), "{came:?}");
    // It may have been taken.
    assert_eq!(last, "listeners -renamed");
    assert_eq!(
        (chains(&world), world.blamed),
        (names.map(String::from).into(), vec![String::new()])
    );
}

#[test]
fn many_bad_chains_do_not_keep_an_envoy_from_a_good_one_for_ever() {
    let mut world = World::new();
    let names: Vec<_> = (100..150).map(|number| format!("p{number}")).collect();
    world.bad.extend(names.iter().filter(|name| *name != "p140").cloned());
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let target = planes(&all(&names), &[], &names);
    let mut tries = 0;
    while chains(&world).is_empty() {
        tries += 1;
        world.session.retry();
        world.settle(&target);
    }
    assert!(tries < 10, "{tries}");
    assert_eq!(chains(&world), ["p140"]);
    assert!(world.blamed.iter().filter(|name| !name.is_empty()).count() == 49);
}

#[test]
fn a_listener_with_nothing_of_the_last_one_that_is_refused_is_held_back() {
    let mut world = World::new();
    world.settle(&planes(&all(&["a"]), &[], &["a"]));
    world.bad.insert("base-2".to_owned());
    let target = planes_on("base-2", &all(&["b", "c"]), &[], &["b", "c"]);
    assert!(refusals(&mut world, &target) < 10);
    // Only its own chains would be a reason to keep the last one.
    assert_eq!((chains(&world), &world.blamed), (Vec::new(), &vec![String::new()]));
    assert!(world.settle(&target).is_empty());
    world.bad.clear();
    world.session.retry();
    world.settle(&target);
    assert_eq!(chains(&world), ["b", "c"]);
}

#[test]
fn a_control_plane_goes_from_an_envoy_that_refuses_every_other_chain() {
    let mut world = World::new();
    world.bad.insert("b".to_owned());
    world.next(&planes(&all(&["a", "b"]), &[], &["a", "b"]));
    // It goes before its chain does, and before the Envoy has answered.
    world.settle(&planes(&all(&["b"]), &[], &["a", "b"]));
    assert_eq!(chains(&world), ["a"]);
    let target = planes(&all(&["b"]), &[], &["b"]);
    world.settle(&target);
    assert!(chains(&world).is_empty());
    let clusters = world.has.keys().filter(|(kind, _)| *kind == Kind::Clusters);
    assert!(clusters.map(|(_, name)| name.as_str()).eq(["b", "b_m1"]), "{:?}", world.has.keys());
    // Another stream does the same.
    world.reconnect();
    assert_eq!(refusals(&mut world, &target), 1);
    world.check(false);
    world.bad.clear();
    world.session.retry();
    world.settle(&target);
    assert_eq!(chains(&world), ["b"]);
}

#[test]
fn a_chain_that_an_envoy_refuses_is_left_out_until_it_is_tried_again() {
    let mut world = World::new();
    world.bad.insert("c".to_owned());
    let names = ["a", "b", "c", "d", "e"];
    let all = names.map(|name| (name, "1", [1].as_slice(), "m1"));
    world.settle(&planes(&all, &[], &names));
    assert_eq!(chains(&world), ["a", "b", "d", "e"]);
    world.check(false);
    assert!(world.session.leaves_out());
    // Others come and go.
    world.settle(&planes(&all, &[], &["a", "c", "d", "e"]));
    assert_eq!(chains(&world), ["a", "d", "e"]);
    // Another stream finds out by itself, and takes no chain away on the way.
    world.reconnect();
    let target = planes(&all, &[], &names);
    world.next(&target);
    while world.answer().is_some() {
        world.next(&target);
        let has = chains(&world);
        assert!(["a", "d", "e"].iter().all(|name| has.iter().any(|has| has == name)), "{has:?}");
    }
    assert_eq!(chains(&world), ["a", "b", "d", "e"]);
    world.bad.clear();
    assert!(world.settle(&target).is_empty());
    world.session.retry();
    world.settle(&target);
    assert_eq!(chains(&world), names);
    assert!(!world.session.leaves_out());
}

#[test]
fn an_envoy_that_refuses_every_chain_gets_no_listener() {
    let mut world = World::new();
    world.bad.extend(["a", "b"].map(str::to_owned));
    let all = ["a", "b"].map(|name| (name, "1", [1].as_slice(), "m1"));
    let came = world.settle(&planes(&all, &[], &["a", "b"]));
    let refused = came.iter().filter(|text| *text == "!listeners listener").count();
    assert_eq!((chains(&world).len(), refused), (0, 3), "{came:?}");
}
