//! The types in a discovery document of any form.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

/// Returns everything that a document names: groups, versions, resources with their
/// subresources, and paths of OpenAPI.
pub fn named(document: &Value) -> Result<BTreeSet<String>> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    Ok(match kind {
        "APIGroupDiscoveryList" => aggregated(document)?,
        "APIGroupList" => {
            let groups = array(document, "groups").iter().map(group);
            groups.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
        }
        "APIGroup" => group(document)?,
        "APIResourceList" => {
            array(document, "resources").iter().map(|r| text(r, "name")).collect::<Result<_>>()?
        }
        "APIVersions" => {
            let versions = array(document, "versions").iter();
            versions.filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => keys(document, "paths")?,
    })
}

fn aggregated(document: &Value) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for group in array(document, "items") {
        let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for version in array(group, "versions") {
            let version_name = format!("{name}/{}", text(version, "version")?);
            for resource in array(version, "resources") {
                let resource_name = format!("{version_name}/{}", text(resource, "resource")?);
                for subresource in array(resource, "subresources") {
                    all.insert(format!("{resource_name}/{}", text(subresource, "subresource")?));
                }
                all.insert(resource_name);
            }
            all.insert(version_name);
        }
    }
    Ok(all)
}

fn group(group: &Value) -> Result<BTreeSet<String>> {
    array(group, "versions").iter().map(|version| text(version, "groupVersion")).collect()
}

fn keys(document: &Value, field: &str) -> Result<BTreeSet<String>> {
    let object = document.get(field).and_then(Value::as_object);
    Ok(object.with_context(|| format!("no {field}"))?.keys().cloned().collect())
}

/// Returns the array in a field; none is an empty one.
pub fn array<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value.get(field).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {field} in {value}"))?.to_owned())
}
