//! The older form of discovery, read: a document for every group-version, put
//! together to what aggregated discovery would have said.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::is_segment;
use crate::fields::{list, quoted};
use crate::limits::{MAX_TYPES, TooManyTypes, TypeCount, items};
use crate::listing::{Group, GroupNames, Listing, Named, Types, Version};
use crate::verbs::VerbList;
use crate::wire::{Kind, LegacyResource, Resource, Subresource};

/// An `APIResourceList`: the answer to `/api/<version>` and `/apis/<group>/<version>`.
#[derive(Debug, Default, Deserialize)]
pub struct LegacyGroupVersion {
    #[serde(default, deserialize_with = "items::<_, _, MAX_TYPES>")]
    resources: Vec<LegacyResource>,
}

/// Each resource or subresource of a group-version, and the hash of its storage version; empty if the
/// peer gives none.
pub(crate) type Hashes = BTreeMap<Box<str>, Box<str>>;

/// Puts a [`Listing`] together from the documents of its group-versions.
#[derive(Debug, Default)]
pub struct LegacyReader {
    /// Each group with its versions, and these as aggregated discovery has them (JSON).
    groups: Vec<(Box<str>, Vec<Version>, Vec<String>)>,
    types: TypeCount,
}

/// A version in aggregated discovery.
#[derive(Serialize)]
struct WrittenVersion<'v> {
    version: &'v str,
    resources: Vec<Resource>,
    freshness: &'static str,
}

impl LegacyReader {
    /// Adds a group-version, in the order in which the peer lists them. It is stale without a
    /// document, which the peer cannot read at present: the server of an aggregated API is down.
    ///
    /// # Errors
    /// The documents have more types, all together, than any control plane.
    pub fn add(
        &mut self,
        group: &str,
        version: &str,
        document: Option<LegacyGroupVersion>,
    ) -> Result<(), TooManyTypes> {
        let stale = document.is_none();
        let document = document.unwrap_or_default();
        document.count(&mut self.types)?;
        let names = Version { name: version.into(), types: document.types(), stale };
        let text = document.aggregated(group, version, stale);
        match self.groups.last_mut() {
            Some((last, versions, texts)) if **last == *group => {
                versions.push(names);
                texts.push(text);
            }
            _ => self.groups.push((group.into(), vec![names], vec![text])),
        }
        Ok(())
    }

    /// Returns what all of the documents list.
    #[must_use]
    pub fn finish(self) -> Listing {
        let groups = self.groups.into_iter().map(|(name, versions, texts)| {
            let metadata = match &*name {
                "" => "{}".to_owned(),
                name => format!("{{\"name\":{}}}", quoted(name)),
            };
            let text = format!("{{\"metadata\":{metadata},\"versions\":{}}}", list(texts));
            let names = Arc::new(GroupNames { name, versions: versions.into() });
            Group { names, text: Some(text.into()) }
        });
        Listing::new(groups.collect())
    }
}

impl LegacyGroupVersion {
    /// Adds the document's version and types to a count.
    ///
    /// # Errors
    /// It is too many now.
    pub fn count(&self, types: &mut TypeCount) -> Result<(), TooManyTypes> {
        types.add(self.resources.len().saturating_add(1))
    }

    /// Returns the types that the document lists.
    pub(crate) fn types(&self) -> Types {
        let (mut namespaced, mut cluster_scoped) = (Named::new(), Named::new());
        for resource in &self.resources {
            if resource.name.splitn(2, '/').all(is_segment) {
                let scoped =
                    if resource.namespaced { &mut namespaced } else { &mut cluster_scoped };
                let verbs = resource.verbs.as_ref().map(|verbs| VerbList::of_json(verbs.json()));
                scoped.insert(resource.name.as_str().into(), verbs.unwrap_or_default().verbs);
            }
        }
        Types::new(namespaced, cluster_scoped)
    }

    /// Returns the hash of each resource's storage version; empty if there is none.
    pub(crate) fn storage_hashes(&self) -> Hashes {
        let hash = |entry: &LegacyResource| {
            (entry.name.as_str().into(), entry.storage_version_hash.as_str().into())
        };
        self.resources.iter().map(hash).collect()
    }

    /// Returns the version as aggregated discovery has it (JSON), as a
    /// kube-apiserver itself makes it from the older form.
    fn aggregated(self, group: &str, version: &str, stale: bool) -> String {
        let own = (group, version);
        let mut resources = Vec::<Resource>::new();
        let mut positions = HashMap::<String, usize>::new();
        let (parents, subresources): (Vec<_>, Vec<_>) =
            self.resources.into_iter().partition(|entry| !entry.name.contains('/'));
        for entry in parents {
            positions.entry(entry.name.clone()).or_insert_with(|| {
                resources.push(Resource {
                    scope: scope(&entry),
                    response_kind: Some(kind(entry.group, entry.version, entry.kind, own)),
                    resource: entry.name,
                    singular_resource: entry.singular_name,
                    verbs: Some(entry.verbs.unwrap_or_default()),
                    short_names: entry.short_names,
                    categories: entry.categories,
                    subresources: None,
                });
                resources.len() - 1
            });
        }
        for entry in subresources {
            let Some((parent, name)) = entry.name.split_once('/') else { continue };
            let position = *positions.entry(parent.to_owned()).or_insert_with(|| {
                let (resource, scope) = (parent.to_owned(), scope(&entry));
                resources.push(Resource { resource, scope, ..Resource::default() });
                resources.len() - 1
            });
            let Some(resource) = resources.get_mut(position) else { continue };
            resource.subresources.get_or_insert_default().push(Subresource {
                subresource: name.to_owned(),
                response_kind: Some(kind(entry.group, entry.version, entry.kind, own)),
                verbs: Some(entry.verbs.unwrap_or_default()),
            });
        }
        let freshness = if stale { "Stale" } else { "Current" };
        json(&WrittenVersion { version, resources, freshness })
    }
}

/// Nothing in a version fails to be written.
fn json(version: &WrittenVersion<'_>) -> String {
    serde_json::to_string(version).unwrap_or_default()
}

fn scope(entry: &LegacyResource) -> String {
    if entry.namespaced { "Namespaced" } else { "Cluster" }.to_owned()
}

/// Group and version are empty if they are the list's own.
fn kind(group: String, version: String, kind: String, own: (&str, &str)) -> Kind {
    let or = |name: String, own: &str| if name.is_empty() { own.to_owned() } else { name };
    Kind { group: or(group, own.0), version: or(version, own.1), kind }
}
