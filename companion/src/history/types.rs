//! What changed of types from one map to the next. Pure.

use std::collections::BTreeMap;

use discovery_map::MapDocument;

use super::change::{Availability, Change};
use super::{MOST_NAMES, shortened};

/// How many groups of types are told apart by their peers. Of more, which is only possible with
/// many versions at once, the peers are left out.
const MOST_GROUPS: usize = 16;

/// A type of a map: group, version, and resource with its subresource.
type Type<'m> = (&'m str, &'m str, &'m str);

/// A group of types: who served them, who serves them, and the set of these.
type Group = (Availability, Availability, Vec<String>);

/// Each type of a map, with who serves it and the index of its set.
fn served(map: &MapDocument) -> BTreeMap<Type<'_>, (Availability, u16)> {
    let mut served = BTreeMap::new();
    for (group, version, set, resources) in map.resources_by_set() {
        let availability = availability(map, set);
        served.extend(resources.names().map(|name| ((group, version, name), (availability, set))));
    }
    served
}

/// Returns which peers in rotation are in a set.
pub fn availability(map: &MapDocument, set: u16) -> Availability {
    let set = map.sets.get(usize::from(set));
    match set.and_then(|set| set.cluster.as_ref()) {
        Some(cluster) if *cluster == map.default_cluster => Availability::Everywhere,
        Some(_) => Availability::Partly,
        None => Availability::Nowhere,
    }
}

/// Returns how many types are served by some peers in rotation only, or by none.
pub(super) fn skewed(map: &MapDocument) -> usize {
    let is_skewed = |set: u16| availability(map, set) != Availability::Everywhere;
    let skewed = map.resources_by_set().filter(|(_, _, set, _)| is_skewed(*set));
    skewed.map(|(.., resources)| resources.names().count()).sum()
}

/// Returns what changed, the types that changed alike in one change.
pub(super) fn changes(before: &MapDocument, map: &MapDocument) -> Vec<Change> {
    let (were, are) = (served(before), served(map));
    let mut groups = BTreeMap::<Group, Vec<Type<'_>>>::new();
    let mut add = |name, from, to, peers| groups.entry((from, to, peers)).or_default().push(name);
    for (name, (from, set)) in &were {
        if !are.contains_key(name) {
            add(*name, *from, Availability::Unknown, peers(before, *set));
        }
    }
    for (name, (to, set)) in &are {
        let from = were.get(name).map_or(Availability::Unknown, |(from, _)| *from);
        if from != *to {
            add(*name, from, *to, peers(map, *set));
        }
    }
    let groups = if groups.len() > MOST_GROUPS { without_peers(groups) } else { groups };
    groups.into_iter().map(|((from, to, peers), types)| change((from, to), &types, peers)).collect()
}

fn without_peers(groups: BTreeMap<Group, Vec<Type<'_>>>) -> BTreeMap<Group, Vec<Type<'_>>> {
    let mut merged = BTreeMap::<Group, Vec<_>>::new();
    for ((from, to, _), types) in groups {
        merged.entry((from, to, Vec::new())).or_default().extend(types);
    }
    merged
}

fn change(
    (from, to): (Availability, Availability),
    types: &[Type<'_>],
    peers: Vec<String>,
) -> Change {
    let name = |(group, version, resource): &Type<'_>| match *group {
        "" => shortened(&format!("{version}/{resource}")),
        group => shortened(&format!("{group}/{version}/{resource}")),
    };
    let names = types.iter().take(MOST_NAMES).map(name).collect();
    Change::Types { from, to, count: types.len(), types: names, peers }
}

/// Returns the names of the peers of a set; none if every peer in rotation is in it.
fn peers(map: &MapDocument, set: u16) -> Vec<String> {
    if availability(map, set) == Availability::Everywhere {
        return Vec::new();
    }
    let set = map.sets.get(usize::from(set));
    let peers = set.into_iter().flat_map(|set| &set.peers);
    let peers = peers.filter_map(|peer| map.peers.get(usize::from(*peer)));
    peers.take(MOST_NAMES).map(|peer| peer.name.clone()).collect()
}
