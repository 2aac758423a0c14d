//! The older form of discovery, read: a document for every group-version, put
//! together to what aggregated discovery would have said.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::is_segment;
use crate::fields::{list, quoted};
use crate::listing::{Group, GroupNames, Listing, Types, Version};

/// An `APIResourceList`: the answer to `/api/<version>` and
/// `/apis/<group>/<version>`.
#[derive(Debug, Default, Deserialize)]
pub struct LegacyGroupVersion {
    #[serde(default)]
    resources: Vec<LegacyResource>,
}

/// An entry of an `APIResourceList`: a resource, or with a `/` in its name a
/// subresource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyResource {
    name: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    singular_name: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    verbs: Option<Vec<String>>,
    #[serde(default)]
    short_names: Option<Vec<String>>,
    #[serde(default)]
    categories: Option<Vec<String>>,
}

/// Puts a [`Listing`] together from the documents of its group-versions.
#[derive(Debug, Default)]
pub struct LegacyReader {
    groups: Vec<LegacyGroup>,
}

#[derive(Debug)]
struct LegacyGroup {
    name: Box<str>,
    versions: Vec<Version>,
    /// The versions as aggregated discovery has them (JSON).
    texts: Vec<String>,
}

impl LegacyReader {
    /// Adds a group-version, in the order in which the peer lists them.
    pub fn add(&mut self, group: &str, version: &str, document: &LegacyGroupVersion) {
        self.push(group, version, document, false);
    }

    /// Adds a group-version that the peer cannot read at present: the server of
    /// an aggregated API is down.
    pub fn add_stale(&mut self, group: &str, version: &str) {
        self.push(group, version, &LegacyGroupVersion::default(), true);
    }

    fn push(&mut self, group: &str, name: &str, document: &LegacyGroupVersion, stale: bool) {
        let version = Version { name: name.into(), types: document.types(), stale };
        let text = document.aggregated(group, name, stale);
        match self.groups.last_mut() {
            Some(last) if *last.name == *group => {
                last.versions.push(version);
                last.texts.push(text);
            }
            _ => {
                let (versions, texts) = (vec![version], vec![text]);
                self.groups.push(LegacyGroup { name: group.into(), versions, texts });
            }
        }
    }

    /// Returns what all of the documents list.
    #[must_use]
    pub fn finish(self) -> Listing {
        Listing::new(self.groups.into_iter().map(LegacyGroup::finish).collect())
    }
}

impl LegacyGroup {
    fn finish(self) -> Group {
        let metadata = if self.name.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{\"name\":{}}}", quoted(&self.name))
        };
        let text = format!("{{\"metadata\":{metadata},\"versions\":{}}}", list(self.texts));
        let names = GroupNames { name: self.name, versions: self.versions.into() };
        Group { names: Arc::new(names), text: Some(text.into()) }
    }
}

impl LegacyGroupVersion {
    /// Returns the types that the document lists.
    pub(crate) fn types(&self) -> Types {
        let (mut namespaced, mut cluster_scoped) = (BTreeSet::new(), BTreeSet::new());
        for resource in &self.resources {
            let (parent, subresource) = resource.split();
            if is_segment(parent) && subresource.is_none_or(is_segment) {
                let scoped =
                    if resource.namespaced { &mut namespaced } else { &mut cluster_scoped };
                scoped.insert(resource.name.as_str().into());
            }
        }
        Types::new(namespaced, cluster_scoped)
    }

    /// Returns the version as aggregated discovery has it (JSON), as a
    /// kube-apiserver itself makes it from the older form.
    fn aggregated(&self, group: &str, version: &str, stale: bool) -> String {
        let mut resources = Vec::<Resource<'_>>::new();
        let mut positions = HashMap::<&str, usize>::new();
        for entry in self.resources.iter().filter(|entry| entry.split().1.is_none()) {
            positions.entry(&entry.name).or_insert_with(|| {
                resources.push(Resource::new(entry, (group, version)));
                resources.len() - 1
            });
        }
        for entry in &self.resources {
            let (parent, Some(subresource)) = entry.split() else { continue };
            let position = *positions.entry(parent).or_insert_with(|| {
                resources.push(Resource::not_served(parent, entry));
                resources.len() - 1
            });
            if let Some(resource) = resources.get_mut(position) {
                resource.subresources.push(Subresource {
                    subresource,
                    response_kind: entry.kind((group, version)),
                    verbs: entry.verbs.as_deref().unwrap_or_default(),
                });
            }
        }
        let freshness = if stale { "Stale" } else { "Current" };
        serde_json::json!({"version": version, "resources": resources, "freshness": freshness})
            .to_string()
    }
}

impl LegacyResource {
    /// Returns the resource's name, and that of the subresource if it is one.
    fn split(&self) -> (&str, Option<&str>) {
        let split = self.name.split_once('/');
        split.map_or((&self.name, None), |(parent, subresource)| (parent, Some(subresource)))
    }

    /// Group and version are only there if they are not the list's own.
    fn kind<'l>(&'l self, (group, version): (&'l str, &'l str)) -> Kind<'l> {
        Kind {
            group: if self.group.is_empty() { group } else { &self.group },
            version: if self.version.is_empty() { version } else { &self.version },
            kind: &self.kind,
        }
    }

    fn scope(&self) -> &'static str {
        if self.namespaced { "Namespaced" } else { "Cluster" }
    }
}

/// A resource of aggregated discovery.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'l> {
    resource: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_kind: Option<Kind<'l>>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    singular_resource: Option<&'l str>,
    verbs: Option<&'l [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_names: Option<&'l [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'l [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<Subresource<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subresource<'l> {
    subresource: &'l str,
    response_kind: Kind<'l>,
    verbs: &'l [String],
}

#[derive(Serialize)]
struct Kind<'l> {
    group: &'l str,
    version: &'l str,
    kind: &'l str,
}

impl<'l> Resource<'l> {
    fn new(entry: &'l LegacyResource, own: (&'l str, &'l str)) -> Self {
        Self {
            resource: &entry.name,
            response_kind: Some(entry.kind(own)),
            scope: entry.scope(),
            singular_resource: Some(&entry.singular_name),
            verbs: Some(entry.verbs.as_deref().unwrap_or_default()),
            short_names: entry.short_names.as_deref(),
            categories: entry.categories.as_deref(),
            subresources: Vec::new(),
        }
    }

    /// A resource that is listed for the sake of its subresources.
    fn not_served(name: &'l str, subresource: &LegacyResource) -> Self {
        Self {
            resource: name,
            response_kind: None,
            scope: subresource.scope(),
            singular_resource: None,
            verbs: None,
            short_names: None,
            categories: None,
            subresources: Vec::new(),
        }
    }
}
