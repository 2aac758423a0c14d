//! Lists of several peers, brought together in the order on which the peers agree.
//!
//! Each peer gives a sequence. The next name is always the first of some peer's rest, and one that
//! no other peer puts behind something else; so if all peers that know two names put them in one
//! order, that order stays. Among several such names the given comparison decides, which knows
//! nothing of peers. Where the peers contradict each other, the majority decides.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Lists of named entries, one from each peer, brought together by name. They are added in rank
/// order: of the entries of one name, that of the peer that is first in rank is first.
pub(super) struct ByName<'n, T> {
    sequences: Vec<Vec<Cow<'n, str>>>,
    entries: HashMap<Cow<'n, str>, Vec<T>>,
}

impl<'n, T> ByName<'n, T> {
    pub(super) fn new() -> Self {
        Self { sequences: Vec::new(), entries: HashMap::new() }
    }

    /// Adds one peer's list, which has no name twice.
    pub(super) fn add_list(&mut self, list: impl IntoIterator<Item = (Cow<'n, str>, T)>) {
        let mut sequence = Vec::new();
        for (name, entry) in list {
            sequence.push(name.clone());
            self.entries.entry(name).or_default().push(entry);
        }
        self.sequences.push(sequence);
    }

    /// Returns every name once, in the order on which the peers agree. Where
    /// they do not, `between` decides.
    pub(super) fn names(&self, between: impl Fn(&str, &str) -> Ordering) -> Vec<&str> {
        agreed(&self.sequences, between)
    }

    pub(super) fn entries(&self, name: &str) -> &[T] {
        self.entries.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Returns every name of the sequences once. No sequence has a name twice.
fn agreed<N: AsRef<str> + PartialEq>(
    sequences: &[Vec<N>],
    between: impl Fn(&str, &str) -> Ordering,
) -> Vec<&str> {
    if let Some((first, rest)) = sequences.split_first()
        && rest.iter().all(|other| other == first)
    {
        return first.iter().map(AsRef::as_ref).collect();
    }
    // How many peers list each name that has no place yet.
    let mut unplaced = HashMap::<&str, usize>::new();
    for name in sequences.iter().flatten() {
        *unplaced.entry(name.as_ref()).or_default() += 1;
    }
    let mut rests: Vec<_> = sequences.iter().map(Vec::as_slice).collect();
    let mut order = Vec::with_capacity(unplaced.len());
    while let Some(next) = candidates(&mut rests, &unplaced).into_iter().max_by(|a, b| {
        let by_comparison = || between(b.name, a.name).then_with(|| b.name.cmp(a.name));
        a.cmp_support(b).then_with(by_comparison)
    }) {
        unplaced.remove(next.name);
        order.push(next.name);
    }
    order
}

/// A name that some peers would place next.
struct Candidate<'n> {
    name: &'n str,
    /// How many peers put it first.
    first: usize,
    /// How many peers put it behind another name.
    behind: usize,
}

/// Returns the first name of each peer's rest.
fn candidates<'n, N: AsRef<str>>(
    rests: &mut [&'n [N]],
    unplaced: &HashMap<&str, usize>,
) -> Vec<Candidate<'n>> {
    let mut first = HashMap::<&str, usize>::new();
    for rest in rests {
        while let Some((name, after)) = rest.split_first() {
            if unplaced.contains_key(name.as_ref()) {
                *first.entry(name.as_ref()).or_default() += 1;
                break;
            }
            *rest = after;
        }
    }
    let candidate = |(name, first)| {
        let listed_by = unplaced.get(name).copied().unwrap_or_default();
        Candidate { name, first, behind: listed_by.saturating_sub(first) }
    };
    first.into_iter().map(candidate).collect()
}

impl Candidate<'_> {
    /// Names that no peer puts behind another come before all others, and are equal to each other.
    fn cmp_support(&self, other: &Self) -> Ordering {
        match (self.behind, other.behind) {
            (0, 0) => Ordering::Equal,
            (own, others) => (own == 0, self.first.saturating_sub(own))
                .cmp(&(others == 0, other.first.saturating_sub(others))),
        }
    }
}

/// Compares as Kubernetes orders versions: general availability before beta before alpha, the
/// greater number first; other names last, in alphabetical order.
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
