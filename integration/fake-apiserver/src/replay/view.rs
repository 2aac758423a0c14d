//! What a peer serves: the types of its recording, without those that a test
//! took away, and with custom resources.
//!
//! As long as nothing is changed, documents are the recorded bytes with their
//! recorded ETag; otherwise they are made from the recorded ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::crd::Crd;
use super::documents;
use crate::recordings::{Recorded, Recording};

/// A group and a version of it.
pub(super) type GroupVersion = (String, String);

/// A resource of a group's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) subresources: BTreeSet<String>,
}

/// What a test changed on one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Group, version and resource; `*` for all resources of a version.
    pub(super) dropped: BTreeSet<(String, String, String)>,
    pub(super) crds: Vec<Crd>,
}

impl Changes {
    pub(super) fn drops(&self, group: &str, version: &str, resource: &str) -> bool {
        self.dropped
            .iter()
            .any(|(g, v, r)| g == group && v == version && (r == resource || r == "*"))
    }
}

/// What a peer serves now.
#[derive(Debug, Clone)]
pub(super) struct View {
    recording: Arc<Recording>,
    changes: Changes,
    types: BTreeMap<GroupVersion, BTreeMap<String, Resource>>,
}

impl View {
    /// What a peer of `recording` serves with these changes.
    ///
    /// # Errors
    ///
    /// When the recording has no aggregated documents.
    pub(super) fn new(recording: Arc<Recording>, changes: Changes) -> Result<Self> {
        let mut types = BTreeMap::new();
        for path in ["/api", "/apis"] {
            let document: Value = serde_json::from_slice(&aggregated(&recording, path)?.body)?;
            collect_types(&document, &mut types);
        }
        for ((group, version), resources) in &mut types {
            resources.retain(|name, _| !changes.drops(group, version, name));
        }
        types.retain(|_, resources| !resources.is_empty());
        for crd in &changes.crds {
            for version in &crd.versions {
                let key = (crd.group.clone(), version.name.clone());
                types.entry(key).or_default().insert(crd.plural.clone(), crd.resource(version));
            }
        }
        Ok(Self { recording, changes, types })
    }

    /// The version of the recorded server, such as `v1.36.3`.
    pub(super) fn version(&self) -> &str {
        &self.recording.version
    }

    /// The resource, when it is served.
    pub(super) fn resource(&self, group: &str, version: &str, resource: &str) -> Option<&Resource> {
        self.types.get(&(group.to_owned(), version.to_owned()))?.get(resource)
    }

    /// Whether any version of the group is served.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.types.keys().any(|(name, _)| name == group)
    }

    /// Whether the group's version is served.
    pub(super) fn has_version(&self, group: &str, version: &str) -> bool {
        self.types.contains_key(&(group.to_owned(), version.to_owned()))
    }

    /// Whether the group is one of custom resources.
    pub(super) fn is_custom(&self, group: &str) -> bool {
        self.changes.crds.iter().any(|crd| crd.group == group)
    }

    /// The recorded document at `path`, in its ordinary form.
    pub(super) fn recorded(&self, path: &str) -> Option<&Recorded> {
        self.recording.get(path, None).filter(|recorded| recorded.is_document())
    }

    /// The aggregated document of `/api` or `/apis`: ETag and body.
    pub(super) fn aggregated(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let recorded = aggregated(&self.recording, path).ok()?;
        if self.changes == Changes::default() {
            let etag = recorded.exchange.headers.get("etag")?.clone();
            return Some((etag, recorded.body.clone()));
        }
        let mut document = serde_json::from_slice(&recorded.body).ok()?;
        documents::change_aggregated(&mut document, path, &self.changes);
        let body = documents::to_body(&document);
        Some((documents::etag(&body), body))
    }

    /// The document of `/apis`, of a group, or of a version, in its older form.
    pub(super) fn legacy(&self, path: &str) -> Option<Vec<u8>> {
        let recorded = self.recorded(path);
        if self.changes == Changes::default() {
            return recorded.map(|recorded| recorded.body.clone());
        }
        let mut document = match recorded {
            Some(recorded) => serde_json::from_slice(&recorded.body).ok()?,
            None => json!({}),
        };
        let kept = match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
            ["api"] => true,
            ["apis"] => documents::change_group_list(&mut document, &self.changes, self),
            ["apis", group] => documents::change_group(&mut document, group, &self.changes, self),
            ["api", version] => {
                documents::change_version(&mut document, "", version, &self.changes)
            }
            ["apis", group, version] => {
                documents::change_version(&mut document, group, version, &self.changes)
            }
            _ => false,
        };
        kept.then(|| documents::to_body(&document))
    }
}

fn aggregated<'a>(recording: &'a Recording, path: &str) -> Result<&'a Recorded> {
    let recorded = recording.get(path, Some(crate::recordings::AGGREGATED));
    recorded.with_context(|| format!("{} has no aggregated {path}", recording.version))
}

/// All resources of an aggregated document.
fn collect_types(document: &Value, types: &mut BTreeMap<GroupVersion, BTreeMap<String, Resource>>) {
    for group in documents::array(document, "items") {
        let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for version in documents::array(group, "versions") {
            let key = (name.to_owned(), documents::string(version, "version").to_owned());
            let resources = types.entry(key).or_default();
            for resource in documents::array(version, "resources") {
                let plural = documents::string(resource, "resource").to_owned();
                resources.insert(plural, resource_of(resource));
            }
        }
    }
}

fn resource_of(resource: &Value) -> Resource {
    let kind = resource.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_default();
    let subresources = documents::array(resource, "subresources")
        .map(|sub| documents::string(sub, "subresource").to_owned());
    Resource {
        kind: kind.to_owned(),
        namespaced: documents::string(resource, "scope") == "Namespaced",
        subresources: subresources.collect(),
    }
}
