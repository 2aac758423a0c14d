//! Counters, read again and again → how fast they grow.

use std::collections::BTreeMap;
use std::time::Duration;

/// A counter, and its growth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub total: u64,
    /// The growth per second since the reading before; `None` after the first one, and after the counter
    /// began anew.
    pub per_second: Option<f64>,
}

/// Counters by name.
#[derive(Clone, Debug)]
pub struct Rates<K> {
    read_at: Option<Duration>,
    rates: BTreeMap<K, Rate>,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self { read_at: None, rates: BTreeMap::new() }
    }
}

impl<K: Ord> Rates<K> {
    /// Notes what the counters are at a time, since whenever.
    pub fn update(&mut self, at: Duration, counters: impl IntoIterator<Item = (K, u64)>) {
        let passed = self.read_at.map(|before| at.saturating_sub(before).as_secs_f64());
        let rate = |(key, total): (K, u64)| {
            let before = self.rates.get(&key).map_or(0, |rate| rate.total);
            let grown = total.checked_sub(before).and_then(|grown| u32::try_from(grown).ok());
            let per_second = passed.filter(|passed| *passed > 0.0).zip(grown);
            let per_second = per_second.map(|(passed, grown)| f64::from(grown) / passed);
            (key, Rate { total, per_second })
        };
        self.rates = counters.into_iter().map(rate).collect();
        self.read_at = Some(at);
    }

    /// Returns all counters.
    pub fn iter(&self) -> impl Iterator<Item = (&K, Rate)> {
        self.rates.iter().map(|(key, rate)| (key, *rate))
    }

    /// Returns a counter.
    pub fn get(&self, key: &K) -> Option<Rate> {
        self.rates.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rate, Rates};

    #[test]
    fn a_rate_needs_two_readings_and_a_counter_that_begins_anew_has_none() {
        let mut rates = Rates::default();
        let mut read = |seconds, total| {
            rates.update(Duration::from_secs(seconds), [("a", total)]);
            rates.get(&"a")
        };
        assert_eq!(read(10, 100), Some(Rate { total: 100, per_second: None }));
        assert_eq!(read(12, 105), Some(Rate { total: 105, per_second: Some(2.5) }));
        assert_eq!(read(13, 4), Some(Rate { total: 4, per_second: None }));
        assert_eq!(read(13, 5), Some(Rate { total: 5, per_second: None }));
        assert_eq!(read(14, 5), Some(Rate { total: 5, per_second: Some(0.0) }));
    }

    #[test]
    fn a_counter_that_is_new_began_with_zero() {
        let mut rates = Rates::default();
        rates.update(Duration::from_secs(1), []);
        rates.update(Duration::from_secs(2), [("a", 3)]);
        assert_eq!(rates.get(&"a"), Some(Rate { total: 3, per_second: Some(3.0) }));
        assert_eq!(rates.iter().count(), 1);
    }
}
