//! The tables of metrics that operators read, against what is exposed.

use std::collections::{BTreeMap, BTreeSet};

use super::PREFIX;

const DOCUMENT: &str = include_str!("../../../docs/operations/metrics.md");

/// Labels whose values are names or versions that an installation has.
const OPEN: [&str; 2] = ["peer", "version"];

/// Fails unless the table below `heading` has exactly the metrics of an exposition: names, labels,
/// types and units, and every value of a closed label.
pub fn compare(heading: &str, exposition: &str) {
    let (exposed, documented) = (exposed(exposition), documented(heading));
    assert!(exposed.keys().eq(documented.keys()), "{exposed:#?}\n{documented:#?}");
    for ((metric, values), meaning) in exposed.iter().zip(documented.values()) {
        for value in values {
            assert!(meaning.contains(&format!("`{value}`")), "{metric}: {value}");
        }
    }
}

/// Returns each metric as `polls_total{outcome,peer} counter`, followed by the unit that it was
/// registered with, and the values of its closed labels.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    let (mut kind, mut unit) = ("", "");
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            (kind, unit) = (described.split(' ').nth(1).unwrap(), "");
        }
        if let Some(described) = line.strip_prefix("# UNIT ") {
            unit = described.split(' ').nth(1).unwrap();
        }
        let Some(sample) = line.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_')) else {
            continue;
        };
        let (series, _) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = match kind {
            "histogram" => name.rsplit_once('_').unwrap().0,
            _ => name,
        };
        let labels = labels.trim_end_matches('}').split(',').filter_map(|l| l.split_once('='));
        let labels: BTreeMap<_, _> = labels.filter(|(label, _)| *label != "le").collect();
        let names = in_braces(labels.keys().copied());
        let values = found.entry(format!("{name}{names} {kind} {unit}")).or_default();
        let closed = labels.iter().filter(|(label, _)| !OPEN.contains(label));
        values.extend(closed.map(|(_, value)| value.trim_matches('"').to_owned()));
    }
    found
}

/// Returns the same of the rows below a heading, and each one's last cell.
fn documented(heading: &str) -> BTreeMap<String, String> {
    let table = DOCUMENT.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let [metric, kind, unit, meaning] = cells[..] else { panic!("not four cells: {row}") };
        let metric = metric.trim_matches(['|', ' ', '`']);
        let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let names = in_braces(BTreeSet::from_iter(labels).into_iter());
        let registered = match unit {
            "seconds since 1970" => "seconds",
            "seconds" | "bytes" => unit,
            _ => "",
        };
        let is_time = name.ends_with("_timestamp_seconds");
        assert_eq!(unit == "seconds since 1970", is_time, "the unit of {row}");
        (format!("{name}{names} {kind} {registered}"), meaning.to_owned())
    })
    .collect()
}

fn in_braces<'l>(labels: impl Iterator<Item = &'l str>) -> String {
    let labels = Vec::from_iter(labels).join(",");
    if labels.is_empty() { labels } else { format!("{{{labels}}}") }
}
