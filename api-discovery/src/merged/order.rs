//! The order on which the peers agree.
//!
//! Each peer gives a sequence. The next name is always the first of some peer's
//! rest, and one that no other peer puts behind something else; so if all peers
//! that know two names put them in one order, that order stays. Among several
//! such names the given comparison decides, which knows nothing of peers. Where
//! the peers contradict each other, the majority decides.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Returns every name of the sequences once. No sequence has a name twice.
pub(super) fn agreed<N: AsRef<str> + PartialEq>(
    sequences: &[Vec<N>],
    between: impl Fn(&str, &str) -> Ordering,
) -> Vec<&str> {
    if let Some((first, rest)) = sequences.split_first()
        && rest.iter().all(|other| other == first)
    {
        return first.iter().map(AsRef::as_ref).collect();
    }
    let mut unplaced = Unplaced::new(sequences);
    let mut order = Vec::with_capacity(unplaced.listed_by.len());
    while let Some(next) = unplaced.take_next(&between) {
        order.push(next);
    }
    order
}

/// The names that have no place yet.
struct Unplaced<'n, N> {
    /// What is left of each peer's sequence.
    rests: Vec<&'n [N]>,
    /// How many peers list each name.
    listed_by: HashMap<&'n str, usize>,
}

/// A name that some peers would place next.
struct Candidate<'n> {
    name: &'n str,
    /// How many peers list it.
    listed_by: usize,
    /// How many of those would place it next.
    first_for: usize,
}

impl<'n, N: AsRef<str>> Unplaced<'n, N> {
    fn new(sequences: &'n [Vec<N>]) -> Self {
        let mut listed_by = HashMap::new();
        for name in sequences.iter().flatten() {
            *listed_by.entry(name.as_ref()).or_default() += 1;
        }
        Self { rests: sequences.iter().map(Vec::as_slice).collect(), listed_by }
    }

    fn take_next(&mut self, between: impl Fn(&str, &str) -> Ordering) -> Option<&'n str> {
        let candidates = self.candidates().into_iter();
        let next = candidates.max_by(|a, b| {
            let by_order = || between(b.name, a.name).then_with(|| b.name.cmp(a.name));
            a.cmp_support(b).then_with(by_order)
        })?;
        self.listed_by.remove(next.name);
        Some(next.name)
    }

    fn candidates(&mut self) -> Vec<Candidate<'n>> {
        let mut first_for = HashMap::<&str, usize>::new();
        for rest in &mut self.rests {
            while let Some((first, after)) = rest.split_first() {
                if self.listed_by.contains_key(first.as_ref()) {
                    *first_for.entry(first.as_ref()).or_default() += 1;
                    break;
                }
                *rest = after;
            }
        }
        let candidate = |(name, first_for)| {
            let listed_by = self.listed_by.get(name).copied().unwrap_or_default();
            Candidate { name, listed_by, first_for }
        };
        first_for.into_iter().map(candidate).collect()
    }
}

impl Candidate<'_> {
    /// Undisputed names come before all others, and are equal to each other.
    fn cmp_support(&self, other: &Self) -> Ordering {
        match (self.is_undisputed(), other.is_undisputed()) {
            (true, true) => Ordering::Equal,
            (own, others) => own.cmp(&others).then(self.majority().cmp(&other.majority())),
        }
    }

    /// Returns whether no peer puts the name behind another one.
    fn is_undisputed(&self) -> bool {
        self.first_for == self.listed_by
    }

    /// Returns by how many the peers that put the name first outnumber those that
    /// put it behind another one.
    fn majority(&self) -> usize {
        self.first_for.saturating_mul(2).saturating_sub(self.listed_by)
    }
}

/// Compares as Kubernetes orders versions: general availability before beta
/// before alpha, the greater number first; other names last, in alphabetical
/// order.
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
    fn a_name_that_only_some_peers_have_stands_where_they_put_it() {
        assert_eq!(agreed_on(&["a c d", "a b c d"]), "a b c d");
        assert_eq!(agreed_on(&["z y x", "z x w"]), "z y x w");
        assert_eq!(agreed_on(&["c b a", "c a"]), "c b a");
    }

    #[test]
    fn names_that_no_peer_orders_are_ordered_by_the_comparison() {
        assert_eq!(agreed_on(&["s a c", "s b d"]), "s a b c d");
    }

    #[test]
    fn the_majority_settles_a_contradiction() {
        assert_eq!(agreed_on(&["a b", "b a", "b a"]), "b a");
        assert_eq!(agreed_on(&["a b", "b a"]), "a b");
    }

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut names = ["foo", "v1alpha1", "v2", "v1", "v11", "v2beta1", "v1beta3", "v10beta3"];
        names.sort_by(|a, b| versions(a, b));
        let expected = ["v11", "v2", "v1", "v10beta3", "v2beta1", "v1beta3", "v1alpha1", "foo"];
        assert_eq!(names, expected);
    }
}
