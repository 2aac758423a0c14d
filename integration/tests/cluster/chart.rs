//! The Helm chart, rendered by Helm, and installed into a real control plane.
//!
//! ```text
//!   values ──helm template──▶ objects ──kubeconform, assertions──▶ rendered
//!                                │──files of a pod──▶ check-config, Envoy's validation
//!   helm install ──▶ kube-apiserver ──objects──▶ the files of its pod ──▶ companion, Envoy
//!                        ▲ controller manager, scheduler, KWOK
//! ```

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use serde_json::Value;
use tempfile::TempDir;

mod configuration;
mod documents;
mod install;
mod kustomize;
mod pod;
mod rendered;

/// Values that the chart's folder has for tests, by the names of their files.
const EXAMPLES: [&str; 2] = ["pair-full", "fleet"];

fn chart() -> PathBuf {
    integration_folder().join("../charts/mixed-version-proxy")
}

/// Returns the argument that names a file of values.
fn example(name: &str) -> String {
    format!("--values={}", chart().join(format!("ci/{name}.yaml")).display())
}

/// Returns the arguments of each rendering that is worth a look.
fn all() -> Vec<Vec<String>> {
    let examples = EXAMPLES.iter().map(|name| vec![example(name)]);
    std::iter::once(Vec::new()).chain(examples).collect()
}

/// Runs Helm, with no state but what `folder` has.
fn helm(folder: &TempDir, arguments: &[String]) -> Result<Output> {
    let mut command = Command::new(Artifact::Helm.path()?);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, folder.path().join(variable));
    }
    command.args(arguments).output().context("helm")
}

/// The objects of a release.
struct Rendered(Vec<Value>);

/// Renders the chart in the namespace `planes`. Fails if it refuses the values.
fn render(arguments: &[String]) -> Result<Rendered> {
    let (success, text, said) = template(arguments)?;
    ensure!(success, "helm template {arguments:?}: {said}");
    ensure!(said.is_empty(), "helm says: {said}");
    Ok(Rendered(serde_saphyr::from_multiple(&text)?))
}

/// Returns why the chart refuses these values. Fails if it does not.
fn refusal(set: &[&str]) -> Result<String> {
    let arguments: Vec<_> = set.iter().map(|set| format!("--set={set}")).collect();
    let (success, _, said) = template(&arguments)?;
    ensure!(!success, "{set:?} is not refused");
    Ok(said)
}

/// Returns whether rendering succeeded, what it gave, and what Helm said.
fn template(arguments: &[String]) -> Result<(bool, String, String)> {
    let folder = TempDir::new()?;
    let chart = chart().display().to_string();
    let mut all = ["template", "test", &chart, "--namespace=planes"].map(str::to_owned).to_vec();
    all.extend_from_slice(arguments);
    let output = helm(&folder, &all)?;
    let text = |bytes| String::from_utf8(bytes).context("not UTF-8");
    Ok((output.status.success(), text(output.stdout)?, text(output.stderr)?))
}

impl Rendered {
    /// Returns the objects of a kind.
    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// Returns the object of this kind whose name ends like this. Fails if there is not one.
    fn one(&self, kind: &str, end: &str) -> Result<&Value> {
        let ends = |object: &&Value| {
            let name = object["metadata"]["name"].as_str();
            object["kind"] == kind && name.is_some_and(|name| name.ends_with(end))
        };
        let found: Vec<_> = self.0.iter().filter(ends).collect();
        ensure!(found.len() == 1, "{} of {kind} …{end}", found.len());
        found.first().copied().context("none")
    }

    /// Returns the pods' templates, by the name of what makes them.
    fn pods(&self) -> BTreeMap<&str, &Value> {
        let makers = self.all("StatefulSet").chain(self.all("Deployment"));
        makers
            .filter_map(|maker| {
                Some((maker["metadata"]["name"].as_str()?, &maker["spec"]["template"]))
            })
            .collect()
    }
}

/// Returns all containers of a pod or its template, those beside the main one first.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |field: &str| pod["spec"][field].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers"))
}
