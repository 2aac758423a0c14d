//! The companion's metrics, as its endpoint writes them (OpenMetrics text format 1.0).

use crate::exposition::{Sample, samples};

/// What all names of the companion's metrics begin with.
const PREFIX: &str = "mixed_version_companion_";

/// One exposition.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub String);

impl Metrics {
    /// Returns all values of a metric, by its name without the prefix.
    pub fn samples<'m>(&'m self, name: &'m str) -> impl Iterator<Item = Sample<'m>> {
        samples(&self.0, PREFIX, name)
    }

    /// Returns the samples of a counter that grew since `before`.
    pub fn grown<'m>(&'m self, before: &'m Self, name: &'m str) -> Vec<Sample<'m>> {
        let grew = |sample: &Sample<'_>| {
            let mut earlier = before.samples(name).filter(|other| other.is_same(sample));
            earlier.next().is_none_or(|other| other.value < sample.value)
        };
        self.samples(name).filter(|sample| sample.value > 0.0 && grew(sample)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_found_by_name_with_their_labels() {
        let text = "# TYPE mixed_version_companion_a gauge\n\
                    mixed_version_companion_a{x=\"1\",y=\"b c\"} 2.5 1700000000\n\
                    mixed_version_companion_ab 7\n";
        let metrics = Metrics(text.to_owned());
        let samples: Vec<_> = metrics.samples("a").collect();
        assert_eq!((samples.len(), samples[0].value), (1, 2.5));
        assert_eq!((samples[0].label("y"), samples[0].label("z")), (Some("b c"), None));
        assert!(metrics.grown(&metrics, "a").is_empty());
        assert_eq!(metrics.grown(&Metrics::default(), "ab").len(), 1);
    }
}
