//! The table of Kubernetes' built-in types by version that `kubectl skew plan` has
//! (`kubectl-skew/src/builtin.txt`), made anew.
//!
//! A type is `on` if a recorded server, which has no flag for it, serves it; `off` if only the discovery
//! documents of the release have it, which are those of a server with everything turned on; else `-`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fake_apiserver::Version;
use fake_apiserver::recordings::{AGGREGATED, Recording};
use serde_json::Value;

use crate::artifacts::integration_folder;

/// Group and version as `apps/v1` or `v1`, and the resource with its subresource.
pub type Type = (String, String);

/// Returns the file that has the table.
pub fn file() -> PathBuf {
    integration_folder().join("../kubectl-skew/src/builtin.txt")
}

/// Makes the table of the discovery documents in a folder (`tools/discovery-documents`) and of the
/// recordings. Fails if a version is missing.
pub fn table(documents: &Path) -> Result<String> {
    let (mut all, mut releases) = (BTreeMap::<Type, Vec<&str>>::new(), Vec::new());
    for (column, version) in Version::ALL.iter().enumerate() {
        let recording = Recording::of(*version)?;
        let folder = documents.join(&recording.version);
        let everything = [folder.join("aggregated_v2.json"), folder.join("api__v1.json")];
        let mut known = BTreeSet::new();
        for file in everything {
            let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
            known.extend(types(&serde_json::from_slice(&text)?)?);
        }
        let mut on = BTreeSet::new();
        for path in ["/api", "/apis"] {
            let answer =
                recording.get(path, Some(AGGREGATED)).context("no aggregated discovery")?;
            on.extend(types(&serde_json::from_slice(&answer.body)?)?);
        }
        for one in known.union(&on) {
            let row = all.entry(one.clone()).or_insert_with(|| vec!["-"; Version::ALL.len()]);
            if let Some(cell) = row.get_mut(column) {
                *cell = if on.contains(one) { "on" } else { "off" };
            }
        }
        releases.push(recording.version);
    }
    let versions: Vec<_> = Version::ALL.iter().map(|version| version.as_str()).collect();
    let mut text =
        String::from("# Made by a test (docs/testing.md#built-in-types). Do not edit.\n");
    writeln!(text, "# Sources: k8s.io/kubernetes {}", releases.join(", "))?;
    writeln!(text, "group/version resource {}", versions.join(" "))?;
    for ((group_version, resource), row) in &all {
        writeln!(text, "{group_version} {resource} {}", row.join(" "))?;
    }
    Ok(text)
}

/// Returns the types in a document: aggregated discovery, or the older list of one group-version.
/// Fails if it is neither.
pub fn types(document: &Value) -> Result<BTreeSet<Type>> {
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let mut found = BTreeSet::new();
    if let Some(group_version) = text(document, "/groupVersion") {
        for resource in array(document, "/resources") {
            found.insert((group_version.clone(), text(resource, "/name").context("no name")?));
        }
        return Ok(found);
    }
    document.get("items").context("neither items nor groupVersion")?;
    for group in array(document, "/items") {
        let name = text(group, "/metadata/name").filter(|name| !name.is_empty());
        for version in array(group, "/versions") {
            let version_name = text(version, "/version").context("no version")?;
            let group_version =
                name.iter().chain([&version_name]).cloned().collect::<Vec<_>>().join("/");
            for resource in array(version, "/resources") {
                let resource_name = text(resource, "/resource").context("no resource")?;
                for subresource in array(resource, "/subresources") {
                    let part = text(subresource, "/subresource").context("no subresource")?;
                    found.insert((group_version.clone(), format!("{resource_name}/{part}")));
                }
                found.insert((group_version.clone(), resource_name));
            }
        }
    }
    Ok(found)
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::types;

    #[test]
    fn both_forms_of_discovery_are_read() {
        let list = json!({ "groupVersion": "v1", "resources": [{ "name": "pods" }, { "name": "pods/status" }] });
        let aggregated = json!({ "items": [{ "metadata": {}, "versions": [{
            "version": "v1",
            "resources": [{ "resource": "pods", "subresources": [{ "subresource": "status" }] }],
        }] }] });
        assert_eq!(types(&list).unwrap(), types(&aggregated).unwrap());
        assert_eq!(types(&list).unwrap().len(), 2);
        assert!(types(&json!({ "kind": "Status" })).is_err());
    }
}
