//! How long something stays that is not used any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The names of what is published, and when those that are not used any more go: an Envoy may still
/// read them, or hold a map that names them.
#[derive(Clone, Debug, Default)]
pub struct Retirement(BTreeMap<String, Use>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Used,
    /// Retired, with the time that remains.
    Retired(Duration),
}

impl Retirement {
    /// Retires everything that an earlier run left.
    pub fn of_left_over(names: impl IntoIterator<Item = String>, delay: Duration) -> Self {
        Self(names.into_iter().map(|name| (name, Use::Retired(delay))).collect())
    }

    /// Takes `names` in use, and retires the others.
    pub fn use_only(&mut self, names: &BTreeSet<String>, delay: Duration) {
        for (name, entry) in &mut self.0 {
            if *entry == Use::Used && !names.contains(name) {
                *entry = Use::Retired(delay);
            }
        }
        self.0.extend(names.iter().map(|name| (name.clone(), Use::Used)));
    }

    /// Takes a name in use if it is new. One that is retired stays retired.
    pub fn add(&mut self, name: &str) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Use::Used);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, passed: Duration) {
        for entry in self.0.values_mut() {
            if let Use::Retired(remaining) = entry {
                *remaining = remaining.saturating_sub(passed);
            }
        }
    }

    /// Returns whether exactly these names are in use.
    pub fn uses_only(&self, names: &BTreeSet<String>) -> bool {
        let used = self.0.iter().filter(|(_, entry)| **entry == Use::Used);
        used.map(|(name, _)| name).eq(names)
    }

    /// Returns the names that are in use or whose time has not come, sorted.
    pub fn staying(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|(_, entry)| !entry.is_over()).map(|(name, _)| name)
    }

    /// Returns the names whose time has come, sorted.
    pub fn expired(&self) -> Vec<String> {
        self.0.iter().filter(|(_, entry)| entry.is_over()).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Use {
    fn is_over(self) -> bool {
        self == Self::Retired(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(30);

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn staying(retirement: &Retirement) -> Vec<&str> {
        retirement.staying().map(String::as_str).collect()
    }

    #[test]
    fn a_name_stays_for_the_delay_after_its_last_use() {
        let mut retirement = Retirement::default();
        retirement.use_only(&names(&["a", "b"]), DELAY);
        retirement.pass(DELAY);
        assert!(retirement.expired().is_empty(), "used");
        retirement.use_only(&names(&["b"]), DELAY);
        assert!(retirement.uses_only(&names(&["b"])));
        retirement.pass(Duration::from_secs(20));
        // Another use of the others does not start its time again.
        retirement.use_only(&names(&["b", "c"]), DELAY);
        retirement.pass(Duration::from_secs(9));
        assert_eq!(staying(&retirement), ["a", "b", "c"]);
        retirement.pass(Duration::from_secs(1));
        assert_eq!(
            (staying(&retirement), retirement.expired()),
            (vec!["b", "c"], vec!["a".into()])
        );
        retirement.remove("a");
        assert!(retirement.expired().is_empty());
    }

    #[test]
    fn a_name_that_is_used_again_stays() {
        let mut retirement = Retirement::of_left_over(["a".to_owned(), "b".to_owned()], DELAY);
        retirement.add("a");
        retirement.add("c");
        assert!(retirement.uses_only(&names(&["c"])), "what is left over is only retired");
        retirement.use_only(&names(&["a"]), DELAY);
        retirement.pass(DELAY);
        assert_eq!((staying(&retirement), retirement.expired().len()), (vec!["a"], 2));
    }
}
