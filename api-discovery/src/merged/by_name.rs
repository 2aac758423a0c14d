//! Lists of named entries, one from each peer, brought together by name.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use super::order;

/// The lists. They are added in rank order: the entries of one name have the
/// peer first whose word counts most.
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
        order::agreed(&self.sequences, between)
    }

    pub(super) fn entries(&self, name: &str) -> &[T] {
        self.entries.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}
