//! Who leaves a cluster before the next map, and who joins after it.
//!
//! The map that Envoy has says what *all* endpoints of a cluster serve. One that serves less may
//! join only when the next map is there, and one whose types the next map counts on must have left
//! before. The same holds for the cluster of the rotation, though it says nothing of types: a server
//! that joined it before the map could serve a type that the others then deny, and their word would
//! still suffice, because the map does not ask for that of the newcomer.

use crate::endpoints::Addresses;

/// The endpoints on both sides of a map.
pub struct Change {
    /// Before the map: the endpoints that are in the cluster before and after it. A cluster that is
    /// new, or would be empty, has all of them.
    pub before: Addresses,
    /// After the map: all endpoints of the clusters that others join.
    pub joining: Addresses,
}

/// Returns the way from the endpoints that are published to the next ones. Those of retired
/// clusters are repeated, in case they were damaged.
pub fn change<'n>(
    now: &Addresses,
    next: &Addresses,
    retired: impl Iterator<Item = &'n String>,
) -> Change {
    let known = retired.filter_map(|name| Some((name.clone(), now.get(name)?.clone())));
    let mut change = Change { before: known.collect(), joining: Addresses::new() };
    for (cluster, next) in next {
        let stays = |address| now.get(cluster).is_none_or(|now| now.contains(address));
        let both = next.filter(stays);
        let before = if both.is_empty() { next.clone() } else { both };
        if before != *next {
            change.joining.insert(cluster.clone(), next.clone());
        }
        change.before.insert(cluster.clone(), before);
    }
    change
}

/// Returns the endpoints that are right with the map that an Envoy has and with the next one, when
/// it has the endpoints `now`.
pub fn endpoints_around_map(now: &Addresses, next: &Addresses) -> Addresses {
    change(now, next, [].iter()).before
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::endpoints::Endpoints;

    fn addresses(cluster: &str, ports: &[u16]) -> Addresses {
        let address = |port: &u16| SocketAddr::from(([10, 0, 0, 1], *port));
        [(cluster.to_owned(), ports.iter().map(address).collect())].into()
    }

    /// The ports before and after the map.
    fn moves(now: &[u16], next: &[u16]) -> (Vec<u16>, Option<Vec<u16>>) {
        let ports = |all: &Addresses| all["a"].all().map(|address| address.port()).collect();
        let change = change(&addresses("a", now), &addresses("a", next), [].iter());
        (ports(&change.before), change.joining.first_key_value().map(|_| ports(&change.joining)))
    }

    #[test]
    fn one_leaves_before_the_map_and_another_joins_after_it() {
        assert_eq!(moves(&[1, 2], &[2, 3]), (vec![2], Some(vec![2, 3])));
        assert_eq!(moves(&[1, 2], &[2]), (vec![2], None));
        assert_eq!(moves(&[1], &[1, 2]), (vec![1], Some(vec![1, 2])));
        assert_eq!(moves(&[1, 2], &[1, 2]), (vec![1, 2], None));
    }

    #[test]
    fn a_level_changes_before_the_map() {
        let of_levels = |levels: [&[u16]; 2]| {
            let levels = levels.map(|ports| addresses("a", ports)["a"].all().collect::<Vec<_>>());
            Addresses::from([("a".to_owned(), Endpoints::of_levels(levels))])
        };
        let change = change(&of_levels([&[1], &[2, 4]]), &of_levels([&[2, 3], &[1]]), [].iter());
        assert_eq!(change.before, of_levels([&[2], &[1]]));
        assert_eq!(change.joining, of_levels([&[2, 3], &[1]]));
    }

    #[test]
    fn a_cluster_is_never_emptied_on_the_way() {
        assert_eq!(moves(&[1], &[2, 3]), (vec![2, 3], None));
    }

    #[test]
    fn a_new_cluster_has_all_its_endpoints_before_a_map_names_it() {
        let (now, next) = (addresses("a", &[1]), addresses("b", &[2, 3]));
        let retired = ["a", "unknown"].map(str::to_owned);
        let change = change(&now, &next, retired.iter());
        assert_eq!(change.before, now.into_iter().chain(next).collect());
        assert!(change.joining.is_empty());
    }
}
