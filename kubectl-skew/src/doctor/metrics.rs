//! The companion's metrics, as its endpoint writes them (OpenMetrics text format 1.0).

/// What all names of the companion's metrics begin with.
const PREFIX: &str = "mixed_version_companion_";

/// One exposition.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub String);

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'m> {
    labels: &'m str,
    pub value: f64,
}

impl Sample<'_> {
    /// Returns the value of a label. No label of the companion's has quotes in its value.
    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = self.labels.split(',');
        labels
            .filter_map(|label| label.split_once('='))
            .find_map(|(own, value)| (own == name).then(|| value.trim_matches('"')))
    }

    /// Returns whether both have the same labels.
    pub fn is_same(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

impl Metrics {
    /// Returns all values of a metric, by its name without the prefix.
    pub fn samples<'m>(&'m self, name: &'m str) -> impl Iterator<Item = Sample<'m>> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(PREFIX)?.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            let value = value.split(' ').next()?.parse().ok()?;
            Some(Sample { labels, value })
        })
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
