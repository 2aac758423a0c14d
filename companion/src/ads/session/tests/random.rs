//! Random orders: control planes come, change, are refused and go, Envoy answers late and gets other
//! control planes than before, companions restart. Whatever happens, no Envoy has a chain or a map
//! that names a cluster that it does not have, none is sent anything of a control plane that it does
//! not get, and at the end everything is there that was not refused.

use proptest::prelude::*;

use super::planes::{Plane, World, planes_on};
use super::*;
use crate::ads::selection::Selected;

const NAMES: [&str; 4] = ["a", "b", "c", "c-d"];
const VERSIONS: [&str; 3] = ["1", "2", "bad"];
const MAPS: [&str; 4] = ["m1", "m2", "m3", "bad-map"];
const BASES: [&str; 3] = ["base", "base-2", "bad-base"];
const PORTS: [&[u16]; 3] = [&[1], &[1, 2], &[2, 3]];

/// What a control plane is.
#[derive(Clone, Copy, Debug)]
enum Is {
    Gone,
    /// It exists, and has no map.
    Awaited,
    There {
        version: usize,
        map: usize,
        ports: usize,
    },
}

#[derive(Clone, Debug)]
enum Event {
    Change(usize, Is),
    /// The listener becomes one for what there is.
    Listen,
    /// The Envoy gets these control planes, whatever there are.
    Select([bool; NAMES.len()]),
    /// What all its chains share becomes another one.
    Base(usize),
    Send,
    Answer,
    Reconnect,
}

fn is() -> impl Strategy<Value = Is> {
    prop_oneof![
        1 => Just(Is::Gone),
        8 => (0..VERSIONS.len(), 0..MAPS.len(), 0..PORTS.len())
            .prop_map(|(version, map, ports)| Is::There { version, map, ports }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..NAMES.len(), is()).prop_map(|(plane, is)| Event::Change(plane, is)),
        2 => Just(Event::Listen),
        1 => any::<[bool; NAMES.len()]>().prop_map(Event::Select),
        1 => (0..BASES.len()).prop_map(Event::Base),
        6 => Just(Event::Send),
        6 => Just(Event::Answer),
        1 => Just(Event::Reconnect),
    ]
}

/// What the companion knows.
#[derive(Debug)]
struct Known {
    planes: [Is; NAMES.len()],
    base: &'static str,
    chains: Vec<&'static str>,
    selected: [bool; NAMES.len()],
}

impl Known {
    /// Returns the control planes that the Envoy gets.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().zip(self.selected).filter_map(|(name, selected)| selected.then_some(name))
    }

    /// Returns what the Envoy shall have.
    fn target(&self) -> Arc<Snapshot> {
        let names = self.names().map(|name| name.parse().unwrap()).collect();
        Selected::new(Arc::new(names)).next(&self.snapshot()).snapshot
    }

    /// Sends what comes next. Fails if it has something of others.
    fn send(&self, world: &mut World) {
        let before = world.open.len();
        world.next(&self.target());
        let is_selected = |name: &str| self.names().any(|selected| selected == name);
        for one in world.open.iter().skip(before).flat_map(|push| &push.upserts) {
            let of_listener = one.listener.iter().flat_map(|listener| listener.chains.keys());
            let by_name = one.name.trim_start_matches(FILTER).trim_start_matches('/');
            let by_name = by_name.split(['_', '/']).next().filter(|_| one.listener.is_none());
            for name in of_listener.map(String::as_str).chain(by_name) {
                assert!(is_selected(name), "{name} is sent: {}", one.name);
            }
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let named = || NAMES.into_iter().zip(self.planes);
        let there: Vec<Plane<'_>> = named()
            .filter_map(|(name, is)| match is {
                Is::There { version, map, ports } => {
                    Some((name, *VERSIONS.get(version)?, *PORTS.get(ports)?, *MAPS.get(map)?))
                }
                _ => None,
            })
            .collect();
        let awaited: Vec<_> =
            named().filter(|(_, is)| matches!(is, Is::Awaited)).map(|(name, _)| name).collect();
        planes_on(self.base, &there, &awaited, &self.chains)
    }

    fn listen(&mut self) {
        let there = |(_, is): &(_, Is)| matches!(is, Is::There { .. });
        let named = NAMES.into_iter().zip(self.planes).filter(there);
        self.chains = named.map(|(name, _)| name).collect();
    }
}

/// Returns whether the Envoy has everything of a control plane, as far as it does not refuse it.
fn is_complete(world: &World, name: &str, is: Is) -> bool {
    let Is::There { version, map, ports } = is else {
        // What it has without telling it, no companion can know.
        return !world.tells.keys().any(|(kind, has)| {
            *kind == Kind::Clusters && (has == name || has.starts_with(&format!("{name}_")))
        });
    };
    if VERSIONS[version] == "bad" || MAPS[map] == "bad-map" {
        return true;
    }
    // Without its chain, it does not ask for the map, and nothing joins its clusters.
    let is_refused = world.bad.contains(name);
    let has = |kind, name: String, version: &str| {
        world.has.get(&(kind, name)).is_some_and(|one| one.version == version)
    };
    let expected = VERSIONS[version];
    let all = version_of(&endpoints(PORTS[ports]));
    // It may use a newer cluster than it tells: part of a push that it refused.
    let tells = world.tells.get(&(Kind::Clusters, name.to_owned()));
    let map = has(Kind::Filter, format!("{FILTER}/{name}"), MAPS[map]);
    (is_refused || map && has(Kind::Endpoints, name.to_owned(), &all))
        && tells.is_some_and(|version| version == expected)
        && world.has.contains_key(&(Kind::Clusters, name.to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_lets_an_envoy_name_what_it_does_not_have(
        events in proptest::collection::vec(event(), 1..120),
        refused in proptest::option::of(0..NAMES.len()),
    ) {
        let mut world = World::new();
        world.bad = ["bad", "bad-map", "bad-base"].map(str::to_owned).into();
        // It has no certificate of this one.
        world.bad.extend(refused.map(|number| NAMES[number].to_owned()));
        let (planes, selected) = ([Is::Gone; NAMES.len()], [true; NAMES.len()]);
        let mut known = Known { planes, base: BASES[0], chains: Vec::new(), selected };
        for event in events {
            match event {
                Event::Change(plane, is) => known.planes[plane] = is,
                Event::Listen => known.listen(),
                Event::Select(selected) => known.selected = selected,
                Event::Base(base) => known.base = BASES[base],
                Event::Send => known.send(&mut world),
                Event::Answer => drop(world.answer()),
                Event::Reconnect => {
                    world.reconnect();
                    // First, the companion knows no map.
                    let now = known.planes;
                    for is in &mut known.planes {
                        if matches!(is, Is::There { .. }) {
                            *is = Is::Awaited;
                        }
                    }
                    known.send(&mut world);
                    world.answer();
                    known.planes = now;
                }
            }
            world.check(true);
        }
        known.listen();
        known.base = BASES[0];
        let target = known.target();
        world.settle(&target);
        world.check(true);
        for (name, is) in NAMES.into_iter().zip(known.planes) {
            let is = if known.names().any(|selected| selected == name) { is } else { Is::Gone };
            prop_assert!(is_complete(&world, name, is), "{name} {is:?}: {:#?}", world.has.keys());
        }
    }
}
