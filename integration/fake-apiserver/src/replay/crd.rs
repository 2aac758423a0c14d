//! Custom resources of a fake API server.

use serde_json::{Value, json};

use super::json::{array, string};
use super::types::Resource;

/// The verbs of a custom resource, in the order in which discovery names them.
const VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// A custom resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crd {
    /// Its group.
    pub group: String,
    /// Its plural name, the resource.
    pub plural: String,
    /// Its singular name.
    pub singular: String,
    /// Its kind.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// The versions that are served.
    pub versions: Vec<CrdVersion>,
}

/// A version of a custom resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrdVersion {
    /// Its name, such as `v1`.
    pub name: String,
    /// Its subresources, of `status` and `scale`.
    pub subresources: Vec<String>,
}

impl Crd {
    /// Returns a namespaced custom resource with the one version `v1`, whose plural is
    /// its kind's name with an `s`.
    pub fn new(group: &str, kind: &str) -> Self {
        let singular = kind.to_lowercase();
        Self {
            group: group.to_owned(),
            plural: format!("{singular}s"),
            singular,
            kind: kind.to_owned(),
            namespaced: true,
            versions: vec![CrdVersion { name: "v1".to_owned(), subresources: Vec::new() }],
        }
    }

    /// Returns the custom resource that a `CustomResourceDefinition` object defines.
    pub(super) fn from_object(object: &Value) -> Option<Self> {
        let spec = object.get("spec")?;
        let names = spec.get("names")?;
        let versions = array(spec, "versions")
            .filter(|version| version.get("served").and_then(Value::as_bool) == Some(true))
            .map(|version| CrdVersion {
                name: string(version, "name").to_owned(),
                subresources: ["status", "scale"]
                    .into_iter()
                    .filter(|name| version.pointer(&format!("/subresources/{name}")).is_some())
                    .map(str::to_owned)
                    .collect(),
            });
        let kind = string(names, "kind");
        let singular = match string(names, "singular") {
            "" => kind.to_lowercase(),
            name => name.to_owned(),
        };
        Some(Self {
            group: string(spec, "group").to_owned(),
            plural: string(names, "plural").to_owned(),
            singular,
            kind: kind.to_owned(),
            namespaced: string(spec, "scope") == "Namespaced",
            versions: versions.collect(),
        })
    }

    /// Returns the `CustomResourceDefinition` object, to create it by a request.
    pub fn to_object(&self) -> Value {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(index, version)| {
                let subresources: serde_json::Map<String, Value> =
                    version.subresources.iter().map(|name| (name.clone(), json!({}))).collect();
                json!({
                    "name": version.name,
                    "served": true,
                    "storage": index == 0,
                    "subresources": subresources,
                    "schema": { "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": true,
                    } },
                })
            })
            .collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{}", self.plural, self.group) },
            "spec": {
                "group": self.group,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "names": {
                    "plural": self.plural,
                    "singular": self.singular,
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                },
                "versions": versions,
            },
        })
    }

    pub(super) fn resource(&self, version: &CrdVersion) -> Resource {
        Resource {
            kind: self.kind.clone(),
            namespaced: self.namespaced,
            subresources: version.subresources.iter().cloned().collect(),
        }
    }

    /// Returns its entry in an aggregated document.
    pub(super) fn aggregated(&self, version: &CrdVersion) -> Value {
        let kind = json!({ "group": self.group, "version": version.name, "kind": self.kind });
        let subresources = version.subresources.iter().map(|name| {
            json!({
                "subresource": name,
                "responseKind": kind,
                "verbs": ["get", "patch", "update"],
            })
        });
        json!({
            "resource": self.plural,
            "responseKind": kind,
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": self.singular,
            "verbs": VERBS,
            "subresources": subresources.collect::<Vec<_>>(),
        })
    }

    /// Returns its entries in a version's document.
    pub(super) fn legacy(&self, version: &CrdVersion) -> Vec<Value> {
        let mut entries = vec![json!({
            "name": self.plural,
            "singularName": self.singular,
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": VERBS,
        })];
        entries.extend(version.subresources.iter().map(|name| {
            json!({
                "name": format!("{}/{name}", self.plural),
                "singularName": "",
                "namespaced": self.namespaced,
                "kind": self.kind,
                "verbs": ["get", "patch", "update"],
            })
        }));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::{Crd, CrdVersion};

    #[test]
    fn a_crd_is_derived_from_its_object() {
        let mut crd = Crd::new("example.com", "Widget");
        let subresources = vec!["status".to_owned()];
        crd.versions.push(CrdVersion { name: "v2".to_owned(), subresources });
        assert_eq!(Crd::from_object(&crd.to_object()), Some(crd));
    }
}
