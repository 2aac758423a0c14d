//! The Kustomize bases: what the chart makes of their values, in files that overlays can replace.
//!
//! To make them anew, run the tests with `UPDATE_GOLDEN=1`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use serde_json::Value;
use tempfile::TempDir;

use super::rendered::kubeconform;
use super::{Rendered, chart, example, helm};

/// Lines that belong to Helm, or do what the names of Kustomize's ConfigMaps do.
const OF_HELM: [&str; 4] = [
    "app.kubernetes.io/managed-by: ",
    "helm.sh/chart: ",
    "mixed-version-proxy/envoy-config: ",
    "# Source: ",
];

fn base(name: &str) -> PathBuf {
    integration_folder().join("../kustomize").join(name)
}

/// Returns the files of a base, but for the one that names them.
fn files_of(values: &[String]) -> Result<BTreeMap<String, String>> {
    let folder = TempDir::new()?;
    let name = "mixed-version-proxy";
    let chart = chart().display().to_string();
    let mut arguments = ["template", name, &chart, "--namespace", name].map(str::to_owned).to_vec();
    arguments.extend_from_slice(values);
    let output = helm(&folder, &arguments)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut files = BTreeMap::new();
    let mut resources = String::new();
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let object: Value = serde_saphyr::from_str(document)?;
        if object["kind"] != "ConfigMap" {
            let ours =
                |line: &&str| !OF_HELM.iter().any(|of_helm| line.trim_start().starts_with(of_helm));
            resources += "---\n";
            document.lines().filter(ours).for_each(|line| resources += &format!("{line}\n"));
            continue;
        }
        for (file, text) in object["data"].as_object().into_iter().flatten() {
            files.insert(file.clone(), text.as_str().context("text")?.to_owned());
        }
    }
    files.insert("resources.yaml".to_owned(), resources);
    Ok(files)
}

fn check(name: &str, values: &[String]) -> Result<()> {
    let files = files_of(values)?;
    for (file, text) in &files {
        let path = base(name).join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, text)?;
        }
        let there = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(there == *text, "{} is not what the chart makes", path.display());
    }
    let there = fs::read_dir(base(name))?.count();
    ensure!(there == files.len() + 1, "{there} files in {name}, of {:?}", files.keys());
    builds(name)
}

/// Kustomize builds it, with the same ConfigMaps, and all objects are valid.
fn builds(name: &str) -> Result<()> {
    let output = Command::new(Artifact::Kustomize.path()?).arg("build").arg(base(name)).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{said}");
    let built = Rendered(serde_saphyr::from_multiple(&String::from_utf8(output.stdout)?)?);
    let folder = TempDir::new()?;
    for (number, object) in built.0.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.json")), object.to_string())?;
    }
    kubeconform(folder.path())?;
    let names: Vec<_> =
        built.all("ConfigMap").filter_map(|map| map["metadata"]["name"].as_str()).collect();
    for (maker, pod) in built.pods() {
        let text = pod.to_string();
        ensure!(
            names.iter().any(|name| text.contains(&format!("\"{name}\""))),
            "{maker} has none of {names:?}"
        );
    }
    let binding = built.one("RoleBinding", "")?;
    ensure!(binding["subjects"][0]["namespace"] == "mixed-version-proxy", "{binding}");
    let slices = if name == "fleet" { "example" } else { "mixed-version-proxy" };
    ensure!(binding["metadata"]["namespace"] == slices, "{binding}");
    Ok(())
}

#[test]
fn the_base_of_a_pair_is_what_the_chart_makes() -> Result<()> {
    check("pair", &[])
}

#[test]
fn the_base_of_a_fleet_is_what_the_chart_makes() -> Result<()> {
    check("fleet", &[example("kustomize-fleet")])
}
