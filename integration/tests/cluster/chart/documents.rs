//! The chart's files against what they are made of or tell.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use harness::artifacts::integration_folder;
use serde_json::Value;

use super::{chart, example, render};

fn of_chart(file: &str) -> Result<String> {
    let path = chart().join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn of_checkout(file: &str) -> Result<String> {
    let path = integration_folder().join("..").join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Helm reads files of the chart only. To change them, copy those of `envoy-config`.
#[test]
fn the_configuration_of_the_chart_is_that_of_the_other_topologies() -> Result<()> {
    let mut seen = 0;
    let mut folders = vec![chart().join("files/envoy-config")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(chart().join("files"))?.to_string_lossy().into_owned();
            ensure!(
                of_checkout(&name)? == fs::read_to_string(&path)?,
                "{name} is not that of envoy-config"
            );
            seen += 1;
        }
    }
    ensure!(seen == 10, "{seen} files");
    Ok(())
}

#[test]
fn the_chart_has_the_version_of_the_workspace() -> Result<()> {
    let about: Value = serde_saphyr::from_str(&of_chart("Chart.yaml")?)?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(about["version"] == version && about["appVersion"] == version, "{about}");
    let images = about["annotations"]["artifacthub.io/images"].as_str().context("images")?;
    for pod in render(&[])?.pods().values() {
        for container in super::containers(pod) {
            let image = container["image"].as_str().context("an image")?;
            ensure!(images.contains(&format!("image: {image}\n")), "{image}");
        }
    }
    Ok(())
}

/// Every value of `values.yaml` that is not a section has a row, with its default, and no other has.
#[test]
fn the_readme_has_every_value_with_its_default() -> Result<()> {
    let values: Value = serde_saphyr::from_str(&of_chart("values.yaml")?)?;
    let mut expected = BTreeMap::new();
    leaves("", &values, &mut expected);
    let readme = of_chart("README.md")?;
    let table = readme.split("## Values").nth(1).context("no values")?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut seen = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.split(" | ").collect();
        ensure!(cells.len() == 3, "{row}");
        seen.insert(
            cells[0].trim_end_matches('`').to_owned(),
            cells[1].trim_matches('`').to_owned(),
        );
    }
    ensure!(expected == seen, "{:#?}", differing(&expected, &seen));
    Ok(())
}

fn leaves(prefix: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                leaves(&path, value, found);
            }
        }
        _ => {
            found.insert(prefix.to_owned(), value.to_string());
        }
    }
}

fn differing<'m>(
    one: &'m BTreeMap<String, String>,
    other: &'m BTreeMap<String, String>,
) -> Vec<(&'m str, Option<&'m str>, Option<&'m str>)> {
    let keys = one.keys().chain(other.keys());
    let of = |map: &'m BTreeMap<String, String>, key: &str| map.get(key).map(String::as_str);
    let all = keys.map(|key| (key.as_str(), of(one, key), of(other, key)));
    all.filter(|(_, one, other)| one != other).collect()
}

#[test]
fn each_form_has_the_alerts_that_fit() -> Result<()> {
    let alerts = |values: &str| {
        let rendered = render(&[example(values)])?;
        anyhow::Ok(rendered.one("PrometheusRule", "")?["spec"]["groups"].to_string())
    };
    let (pair, fleet) = (alerts("pair-full")?, alerts("fleet")?);
    ensure!(pair.contains("MixedVersionMapNotAccepted") && !pair.contains("ads_clients"), "{pair}");
    for alerts in [&pair, &fleet] {
        ensure!(alerts.contains("MixedVersionRotationFrozen"), "{alerts}");
    }
    ensure!(fleet.contains("MixedVersionEnvoyWithoutCompanion"), "{fleet}");
    ensure!(!fleet.contains("MixedVersionMapNotAccepted"), "{fleet}");
    Ok(())
}
