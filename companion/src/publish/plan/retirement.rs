//! How long something stays that is not used any more: an Envoy may still hold what names it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::step::Name;

/// What is retired, with the time that remains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retirement(BTreeMap<Name, Duration>);

impl Retirement {
    /// Returns what is retired when these exist and are not used any more. Time goes on for what
    /// was retired before.
    pub fn next(&self, unused: impl Iterator<Item = Name>, delay: Duration) -> Self {
        let remaining = |name: &Name| self.0.get(name).copied().unwrap_or(delay);
        Self(unused.map(|name| (name.clone(), remaining(&name))).collect())
    }

    pub fn pass(&mut self, passed: Duration) {
        self.0.values_mut().for_each(|remaining| *remaining = remaining.saturating_sub(passed));
    }

    /// Returns the clusters whose time has not come.
    pub fn clusters(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|(name, remaining)| match name {
            Name::Endpoints(cluster) if !remaining.is_zero() => Some(cluster),
            _ => None,
        })
    }

    /// Takes out the names whose time has come.
    pub fn take_expired(&mut self) -> BTreeSet<Name> {
        self.0.extract_if(.., |_, remaining| remaining.is_zero()).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(30);

    fn next(retirement: &Retirement, unused: &[&str]) -> Retirement {
        let unused = unused.iter().map(|&name| Name::Endpoints(name.to_owned()));
        retirement.next(unused, DELAY)
    }

    fn clusters(retirement: &Retirement) -> Vec<&str> {
        retirement.clusters().map(String::as_str).collect()
    }

    #[test]
    fn a_name_stays_for_the_delay_after_its_last_use() {
        let mut retirement = next(&Retirement::default(), &["a"]);
        retirement.pass(Duration::from_secs(20));
        // A later change of the others does not start its time again.
        let mut retirement = next(&retirement, &["a", "b"]);
        retirement.pass(Duration::from_secs(9));
        assert_eq!(clusters(&retirement), ["a", "b"]);
        retirement.pass(Duration::from_secs(1));
        assert_eq!(clusters(&retirement), ["b"]);
        assert_eq!(retirement.take_expired(), [Name::Endpoints("a".to_owned())].into());
        assert!(retirement.take_expired().is_empty());
    }

    #[test]
    fn a_name_that_was_used_again_has_the_whole_delay() {
        let mut retirement = next(&Retirement::default(), &["a"]);
        retirement.pass(Duration::from_secs(29));
        let used = next(&retirement, &[]);
        assert!(clusters(&used).is_empty());
        let mut retirement = next(&used, &["a"]);
        retirement.pass(Duration::from_secs(29));
        assert_eq!(clusters(&retirement), ["a"]);
    }
}
