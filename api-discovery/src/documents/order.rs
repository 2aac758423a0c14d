//! The order on which the peers agree.
//!
//! Each peer gives a sequence. Name by name, the next is the first of some
//! peer's rest that no other peer puts behind something else; so whatever all
//! who know two names put in one order is in that order. Among several the
//! given comparison decides, which knows nothing of peers; where the peers
//! contradict each other, the greater number does.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Every name of the sequences once. No sequence has a name twice.
pub(super) fn agreed<'n>(
    sequences: &[Vec<&'n str>],
    between: impl Fn(&str, &str) -> Ordering,
) -> Vec<&'n str> {
    if let Some((first, rest)) = sequences.split_first()
        && rest.iter().all(|other| other == first)
    {
        return first.clone();
    }
    let mut known_to = HashMap::<&str, usize>::new();
    for name in sequences.iter().flatten() {
        *known_to.entry(name).or_default() += 1;
    }
    let mut rests: Vec<_> = sequences.iter().map(Vec::as_slice).collect();
    let mut order = Vec::with_capacity(known_to.len());
    loop {
        let mut firsts = HashMap::<&str, usize>::new();
        for rest in &mut rests {
            while let Some((first, after)) = rest.split_first() {
                // Placed names are no longer known.
                if known_to.contains_key(first) {
                    *firsts.entry(first).or_default() += 1;
                    break;
                }
                *rest = after;
            }
        }
        // How many put it first, less how many put it behind something.
        let weight = |name: &str, first: usize| {
            let all = known_to.get(name).copied().unwrap_or_default();
            (all == first, first.saturating_add(first).saturating_sub(all))
        };
        let next = firsts.into_iter().max_by(|&(a, a_first), &(b, b_first)| {
            let (a_free, a_weight) = weight(a, a_first);
            let (b_free, b_weight) = weight(b, b_first);
            let conflict = match a_free && b_free {
                true => Ordering::Equal,
                false => a_free.cmp(&b_free).then(a_weight.cmp(&b_weight)),
            };
            conflict.then_with(|| between(b, a)).then_with(|| b.cmp(a))
        });
        let Some((name, _)) = next else { return order };
        known_to.remove(name);
        order.push(name);
    }
}

/// Kubernetes' order of versions: general availability before beta before
/// alpha, the greater number first; other names last, by the alphabet.
pub(super) fn versions(a: &str, b: &str) -> Ordering {
    rank(b).cmp(&rank(a)).then_with(|| a.cmp(b))
}

fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at_checked(end)?;
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((3, major, 0));
    }
    let (stage, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (2, minor),
        (_, Some(minor)) => (1, minor),
        _ => return None,
    };
    Some((stage, major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed_on(sequences: &[&str]) -> String {
        let sequences: Vec<Vec<_>> =
            sequences.iter().map(|names| names.split(' ').collect()).collect();
        agreed(&sequences, str::cmp).join(" ")
    }

    #[test]
    fn what_only_some_have_stands_where_they_have_it() {
        assert_eq!(agreed_on(&["a c d", "a b c d"]), "a b c d");
        assert_eq!(agreed_on(&["z y x", "z x w"]), "z y x w");
        assert_eq!(agreed_on(&["c b a", "c a"]), "c b a");
    }

    #[test]
    fn what_nobody_orders_is_ordered_by_the_comparison() {
        assert_eq!(agreed_on(&["s a c", "s b d"]), "s a b c d");
    }

    #[test]
    fn a_contradiction_is_settled_by_number() {
        assert_eq!(agreed_on(&["a b", "b a", "b a"]), "b a");
        assert_eq!(agreed_on(&["a b", "b a"]), "a b");
    }

    #[test]
    fn versions_stand_as_kubernetes_orders_them() {
        let mut names = ["foo", "v1alpha1", "v2", "v1", "v11", "v2beta1", "v1beta3", "v10beta3"];
        names.sort_by(|a, b| versions(a, b));
        let expected = ["v11", "v2", "v1", "v10beta3", "v2beta1", "v1beta3", "v1alpha1", "foo"];
        assert_eq!(names, expected);
    }
}
