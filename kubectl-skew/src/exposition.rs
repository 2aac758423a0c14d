//! Metrics as programs expose them: Prometheus' text format 0.0.4, and OpenMetrics 1.0 as far as both
//! are equal.

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'m> {
    labels: &'m str,
    pub value: f64,
}

impl<'m> Sample<'m> {
    /// Returns the value of a label. No label that this program reads has commas or quotes in its
    /// value.
    pub fn label(&self, name: &str) -> Option<&'m str> {
        let labels = self.labels.split(',');
        labels
            .filter_map(|label| label.split_once('='))
            .find_map(|(own, value)| (own == name).then(|| value.trim_matches('"')))
    }

    /// Returns whether both have the same labels.
    pub fn is_same(&self, other: &Self) -> bool {
        self.labels == other.labels
    }

    /// Returns the value of a counter or of a number of objects; `None` if it is negative, which means
    /// unknown, or not a number.
    pub fn count(&self) -> Option<u64> {
        // Large counters are written as `1.5e+06`.
        format!("{:.0}", self.value).parse().ok()
    }
}

/// Returns all values of the metric `prefix` + `name`.
pub fn samples<'m>(
    text: &'m str,
    prefix: &'m str,
    name: &'m str,
) -> impl Iterator<Item = Sample<'m>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(prefix)?.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let value = value.split(' ').next()?.parse().ok()?;
        Some(Sample { labels, value })
    })
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn a_count_is_whole_and_a_negative_number_of_objects_is_unknown() {
        let text = "a{x=\"1\"} 1.5e+06\na{x=\"2\"} -1\na{x=\"3\"} 12 1700000000\nab 7\n";
        let counts: Vec<_> = samples(text, "", "a").map(|sample| sample.count()).collect();
        assert_eq!(counts, [Some(1_500_000), None, Some(12)]);
    }
}
