//! The types that a peer serves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json::{array, string};

/// A group and a version of it.
type GroupVersion = (String, String);

/// A resource of a group's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) subresources: BTreeSet<String>,
}

/// Types by group and version, and then by the resource's name.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(BTreeMap<GroupVersion, BTreeMap<String, Resource>>);

impl Types {
    /// Adds all resources of an aggregated document.
    pub(super) fn add_all(&mut self, document: &Value) {
        for group in array(document, "items") {
            let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            for version in array(group, "versions") {
                for resource in array(version, "resources") {
                    let plural = string(resource, "resource");
                    self.add(name, string(version, "version"), plural, resource_of(resource));
                }
            }
        }
    }

    /// Adds one resource.
    pub(super) fn add(&mut self, group: &str, version: &str, plural: &str, resource: Resource) {
        let key = (group.to_owned(), version.to_owned());
        self.0.entry(key).or_default().insert(plural.to_owned(), resource);
    }

    /// Keeps the resources for which `keep` returns true; its arguments are the group, the
    /// version and the name.
    pub(super) fn retain(&mut self, keep: impl Fn(&str, &str, &str) -> bool) {
        for ((group, version), resources) in &mut self.0 {
            resources.retain(|name, _| keep(group, version, name));
        }
        self.0.retain(|_, resources| !resources.is_empty());
    }

    /// Returns the resource, when it is served.
    pub(super) fn resource(&self, group: &str, version: &str, resource: &str) -> Option<&Resource> {
        self.0.get(&(group.to_owned(), version.to_owned()))?.get(resource)
    }

    /// Returns whether any version of the group is served.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.0.keys().any(|(name, _)| name == group)
    }

    /// Returns whether the group's version is served.
    pub(super) fn has_version(&self, group: &str, version: &str) -> bool {
        self.0.contains_key(&(group.to_owned(), version.to_owned()))
    }
}

fn resource_of(resource: &Value) -> Resource {
    let kind = resource.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_default();
    let subresources =
        array(resource, "subresources").map(|sub| string(sub, "subresource").to_owned());
    Resource {
        kind: kind.to_owned(),
        namespaced: string(resource, "scope") == "Namespaced",
        subresources: subresources.collect(),
    }
}
