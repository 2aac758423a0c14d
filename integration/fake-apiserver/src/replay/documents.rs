//! Changes recorded discovery documents: removes dropped resources and adds
//! custom ones.

use std::collections::{BTreeSet, HashMap};

use ring::digest;
use serde_json::{Value, json};

use super::crd::Crd;
use super::json::{array, array_mut, string};
use super::types::Types;

/// The changes of a test to one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Group, version and resource; `*` for all resources of a version.
    pub(super) dropped: BTreeSet<(String, String, String)>,
    /// Group, version, resource or `resource/subresource`, and the verb that is not served.
    pub(super) dropped_verbs: BTreeSet<(String, String, String, String)>,
    pub(super) crds: Vec<Crd>,
}

impl Changes {
    pub(super) fn drops(&self, group: &str, version: &str, resource: &str) -> bool {
        self.dropped
            .iter()
            .any(|(g, v, r)| g == group && v == version && (r == resource || r == "*"))
    }

    /// Returns whether `resource`, which may be `resource/subresource`, lacks a verb.
    pub(super) fn drops_verb(
        &self,
        group: &str,
        version: &str,
        resource: &str,
        verb: &str,
    ) -> bool {
        let mut dropped = self.dropped_verbs.iter();
        dropped
            .any(|(g, v, r, name)| (&**g, &**v, &**r, &**name) == (group, version, resource, verb))
    }

    /// Removes dropped verbs from the entry of a resource or subresource.
    fn change_verbs(&self, entry: &mut Value, group: &str, version: &str, name: &str) {
        if let Some(verbs) = array_mut(entry, "verbs") {
            let drops = |verb: &Value| {
                self.drops_verb(group, version, name, verb.as_str().unwrap_or_default())
            };
            verbs.retain(|verb| !drops(verb));
        }
    }
}

/// Returns an ETag in the server's own form.
pub(super) fn etag(body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA512, body);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hex}\"")
}

/// The aggregated document of `/api` or `/apis`.
pub(super) fn change_aggregated(document: &mut Value, path: &str, changes: &Changes) {
    let Some(groups) = array_mut(document, "items") else { return };
    for group in groups.iter_mut() {
        let group_name = name_of(group);
        let Some(versions) = array_mut(group, "versions") else { continue };
        for version in versions.iter_mut() {
            let version_name = string(version, "version").to_owned();
            if let Some(resources) = array_mut(version, "resources") {
                resources.retain(|resource| {
                    !changes.drops(&group_name, &version_name, string(resource, "resource"))
                });
                for resource in resources {
                    change_aggregated_verbs(resource, &group_name, &version_name, changes);
                }
            }
        }
        versions.retain(|version| array(version, "resources").next().is_some());
    }
    groups.retain(|group| array(group, "versions").next().is_some());
    // Tests add thousands, so groups are found by name.
    let mut positions: HashMap<_, _> =
        groups.iter().enumerate().map(|(index, group)| (name_of(group), index)).collect();
    for crd in changes.crds.iter().filter(|crd| crd.group.is_empty() == (path == "/api")) {
        let index = *positions.entry(crd.group.clone()).or_insert_with(|| {
            groups.push(json!({ "metadata": { "name": crd.group }, "versions": [] }));
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            add_aggregated(group, crd);
        }
    }
}

fn change_aggregated_verbs(entry: &mut Value, group: &str, version: &str, changes: &Changes) {
    let resource = string(entry, "resource").to_owned();
    changes.change_verbs(entry, group, version, &resource);
    for subresource in array_mut(entry, "subresources").into_iter().flatten() {
        let name = format!("{resource}/{}", string(subresource, "subresource"));
        changes.change_verbs(subresource, group, version, &name);
    }
}

fn name_of(group: &Value) -> String {
    group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn add_aggregated(group: &mut Value, crd: &Crd) {
    let Some(versions) = array_mut(group, "versions") else { return };
    for version in &crd.versions {
        let entry = crd.aggregated(version);
        let found = versions.iter_mut().find(|value| string(value, "version") == version.name);
        match found.and_then(|value| array_mut(value, "resources")) {
            Some(resources) => resources.push(entry),
            None => versions.push(json!({
                "version": version.name,
                "resources": [entry],
                "freshness": "Current",
            })),
        }
    }
}

/// Changes the document of `/apis`. Returns whether it is served.
pub(super) fn change_group_list(document: &mut Value, changes: &Changes, types: &Types) -> bool {
    let Some(groups) = array_mut(document, "groups") else { return false };
    groups.retain_mut(|group| {
        let name = string(group, "name").to_owned();
        change_group(group, &name, changes, types)
    });
    for crd in changes.crds.iter().filter(|crd| !crd.group.is_empty()) {
        if !groups.iter().any(|group| string(group, "name") == crd.group) {
            let mut group = json!({});
            change_group(&mut group, &crd.group, changes, types);
            if let Some(fields) = group.as_object_mut() {
                // Only a group's own document states its kind.
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            groups.push(group);
        }
    }
    true
}

/// Changes the document of a group, or its entry in `/apis`. Returns whether the
/// group is served.
pub(super) fn change_group(
    document: &mut Value,
    group: &str,
    changes: &Changes,
    types: &Types,
) -> bool {
    if !types.has_group(group) {
        return false;
    }
    if document.get("versions").is_none() {
        *document = json!({
            "kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": [],
        });
    }
    let Some(versions) = array_mut(document, "versions") else { return false };
    versions.retain(|version| types.has_version(group, string(version, "version")));
    let custom = changes.crds.iter().filter(|crd| crd.group == group).flat_map(|crd| &crd.versions);
    for version in custom {
        if !versions.iter().any(|value| string(value, "version") == version.name) {
            let group_version = format!("{group}/{}", version.name);
            versions.push(json!({ "groupVersion": group_version, "version": version.name }));
        }
    }
    let preferred = versions.first().cloned().unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("preferredVersion".to_owned(), preferred);
    }
    true
}

/// Changes the document of a version. Returns whether it is served.
pub(super) fn change_version(
    document: &mut Value,
    group: &str,
    version: &str,
    changes: &Changes,
) -> bool {
    if document.get("resources").is_none() {
        *document = json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": format!("{group}/{version}"), "resources": [],
        });
    }
    let Some(resources) = array_mut(document, "resources") else { return false };
    resources.retain(|resource| {
        let name = string(resource, "name").split('/').next().unwrap_or_default();
        !changes.drops(group, version, name)
    });
    for resource in resources.iter_mut() {
        let name = string(resource, "name").to_owned();
        changes.change_verbs(resource, group, version, &name);
    }
    for crd in changes.crds.iter().filter(|crd| crd.group == group) {
        for served in crd.versions.iter().filter(|served| served.name == version) {
            resources.extend(crd.legacy(served));
        }
    }
    !resources.is_empty()
}
