//! The metrics that a running companion and Envoy expose, against `docs/operations/metrics.md`: names,
//! labels, types and units. Unit tests compare every value of every label.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use harness::artifacts::integration_folder;
use harness::fleet::Fleet;
use harness::stack::Stack;
use wire::client::Http;

/// What the companion of one control plane has no cause to expose as long as nothing fails.
const ONLY_WITH_A_CAUSE: [&str; 2] = ["control_planes", "secret_errors_total"];

/// A metric, documented or exposed.
#[derive(Debug, Default, PartialEq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
    /// The values of its samples.
    values: Vec<String>,
}

/// Returns the rows of a section, and the unit of each.
fn documented(section: &str) -> Result<BTreeMap<String, (Metric, String)>> {
    let text = fs::read_to_string(integration_folder().join("../docs/operations/metrics.md"))?;
    let table = text.split(&format!("\n## {section}")).nth(1).unwrap_or_default();
    let rows = table.split("\n## ").next().unwrap_or_default().lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `")).map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let metric = cells[0].trim_matches('`');
        let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let kind = cells.get(1).copied().unwrap_or_default().to_owned();
        let unit = cells.get(2).copied().unwrap_or_default().to_owned();
        (name.to_owned(), (Metric { kind, labels, values: Vec::new() }, unit))
    });
    Ok(rows.collect())
}

/// Returns the metrics of an exposition whose names begin with a prefix, without it.
fn exposed(text: &str, prefix: &str) -> BTreeMap<String, Metric> {
    let mut found = BTreeMap::<String, Metric>::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            kind = described.split(' ').nth(1).unwrap_or_default();
        }
        let Some((series, value)) = line.strip_prefix(prefix).and_then(|l| l.rsplit_once(' '))
        else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = name.rsplit_once('_').filter(|_| kind == "histogram");
        let name = family.map_or(name, |(family, _)| family);
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|l| l.split_once('='));
        let metric = found.entry(name.to_owned()).or_default();
        metric.kind = kind.to_owned();
        metric.labels.extend(labels.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
        metric.values.push(value.to_owned());
    }
    found
}

fn compare(
    exposed: &BTreeMap<String, Metric>,
    documented: &BTreeMap<String, (Metric, String)>,
) -> Result<()> {
    for (name, metric) in exposed {
        let Some((row, unit)) = documented.get(name) else {
            anyhow::bail!("{name} is not documented");
        };
        ensure!((&row.kind, &row.labels) == (&metric.kind, &metric.labels), "{name}: {metric:?}");
        let is_flag = metric.values.iter().all(|value| ["0", "1"].contains(&&**value));
        ensure!(unit != "0 or 1" || is_flag, "{name}: {:?}", metric.values);
        let seconds = name.trim_end_matches("_total").ends_with("_seconds");
        ensure!(unit.starts_with("seconds") == seconds, "{name}: {unit}");
        ensure!((unit == "bytes") == name.ends_with("_bytes"), "{name}: {unit}");
    }
    Ok(())
}

fn names<V>(metrics: &BTreeMap<String, V>) -> BTreeSet<&str> {
    metrics.keys().map(String::as_str).collect()
}

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&Version::NEWEST_PAIR).await?;
    let mut options = fleet.stack_options()?;
    options.answering_version = None;
    let stack = Stack::start_with_map(options).await?;
    fleet.client(&stack.url(), Http::Two)?.get("/api/v1/namespaces").await?.ok()?;
    Ok((fleet, stack))
}

#[tokio::test]
async fn a_companion_exposes_the_documented_metrics_from_the_start() -> Result<()> {
    let (_fleet, stack) = start().await?;
    let text = stack.companion.get("/metrics").await?.ok()?.text();
    let (exposed, documented) =
        (exposed(&text, "mixed_version_companion_"), documented("Companion")?);
    compare(&exposed, &documented)?;
    let missing: Vec<_> = names(&documented).difference(&names(&exposed)).copied().collect();
    assert_eq!(missing, ONLY_WITH_A_CAUSE);
    Ok(())
}

#[tokio::test]
async fn an_envoy_exposes_the_documented_metrics_from_the_start() -> Result<()> {
    let (_fleet, stack) = start().await?;
    stack.decisions("common", 1.0).await?;
    let text = stack.envoy.prometheus().await?;
    let (filter, table) = (exposed(&text, "mixed_version_proxy_"), documented("Filter")?);
    let table = table
        .into_iter()
        .map(|(name, row)| (name.trim_start_matches("mixed_version_proxy_").to_owned(), row));
    let table = table.collect();
    compare(&filter, &table)?;
    assert_eq!(names(&filter), names(&table));

    let envoy = exposed(&text, "envoy_");
    for name in documented("Envoy")?.keys() {
        let name = name.trim_start_matches("envoy_");
        ensure!(envoy.contains_key(name), "Envoy does not expose envoy_{name}");
    }
    Ok(())
}
