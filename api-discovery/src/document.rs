//! Discovery documents as kube-apiservers write them.
//!
//! One [`DiscoveryDocument`] reads whichever form a server answers with, told by its `kind`:
//! aggregated discovery (v2 and v2beta1, equal in all that matters here) or the older lists. Each
//! group of aggregated discovery is read once, and its text is kept beside its names.

use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::listing::{Group, GroupNames, Listing, Named, Part, Types, Version};
use crate::verbs::{VerbList, Verbs};

/// More groups than any control plane has.
const MAX_GROUPS: usize = 20_000;

/// More versions than any group, and more subresources than any resource, has.
const MAX_INNER: usize = 256;

/// The answer to `/api` or `/apis`, in any form.
#[derive(Debug)]
pub enum DiscoveryDocument {
    /// Aggregated discovery: everything in one document.
    Aggregated(AggregatedList),
    /// The older lists: groups and versions. Each group-version has a document
    /// of its own, to be read with [`LegacyReader`](crate::LegacyReader).
    Legacy(Vec<GroupVersion>),
}

/// The name of a group, empty for the core group, and that of a version.
pub type GroupVersion = (Box<str>, Box<str>);

impl<'de> Deserialize<'de> for DiscoveryDocument {
    /// Not a tagged enum: serde would hold the whole document in memory before it looks at the tag.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct AnyForm {
            kind: String,
            #[serde(default)]
            items: AggregatedList,
            #[serde(default)]
            groups: Vec<ListedGroup>,
            #[serde(default)]
            versions: Vec<Box<str>>,
        }

        let AnyForm { kind, items, groups, versions } = AnyForm::deserialize(deserializer)?;
        match kind.as_str() {
            "APIGroupDiscoveryList" => Ok(Self::Aggregated(items)),
            "APIGroupList" => {
                let named = groups.into_iter().filter(|group| is_segment(&group.name));
                Ok(Self::Legacy(named.flat_map(ListedGroup::group_versions).collect()))
            }
            "APIVersions" => {
                let versions = versions.into_iter().filter(|version| is_segment(version));
                Ok(Self::Legacy(versions.map(|version| ("".into(), version)).collect()))
            }
            other => Err(D::Error::custom(format_args!("kind {other:?} is not discovery"))),
        }
    }
}

#[derive(Deserialize)]
struct ListedGroup {
    name: Box<str>,
    #[serde(default)]
    versions: Vec<ListedVersion>,
}

#[derive(Deserialize)]
struct ListedVersion {
    version: Box<str>,
}

impl ListedGroup {
    fn group_versions(self) -> impl Iterator<Item = GroupVersion> {
        let versions = self.versions.into_iter().map(|version| version.version);
        let versions = versions.filter(|version| is_segment(version));
        versions.map(move |version| (self.name.clone(), version))
    }
}

/// A list of groups with everything in them.
#[derive(Debug, Default)]
pub struct AggregatedList(Vec<Group>);

impl<'de> Deserialize<'de> for AggregatedList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = AggregatedList;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of groups")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<AggregatedList, A::Error> {
                let mut groups = Vec::new();
                // Owned: a document is read while it arrives.
                while let Some(text) = items.next_element::<Box<RawValue>>()? {
                    let group: AggregatedGroup =
                        serde_json::from_str(text.get()).map_err(A::Error::custom)?;
                    if groups.len() == MAX_GROUPS || group.longest_inner_list() > MAX_INNER {
                        return Err(A::Error::custom(
                            "more groups or versions than any server has",
                        ));
                    }
                    let names = Arc::new(group.names());
                    groups.push(Group { names, text: Some(text.get().into()) });
                }
                Ok(AggregatedList(groups))
            }
        }

        deserializer.deserialize_seq(Visit)
    }
}

#[derive(Debug, Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    versions: Vec<AggregatedVersion>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: Box<str>,
}

#[derive(Debug, Deserialize)]
struct AggregatedVersion {
    version: Box<str>,
    #[serde(default)]
    resources: Vec<AggregatedResource>,
    #[serde(default)]
    freshness: Box<str>,
}

#[derive(Debug, Deserialize)]
struct AggregatedResource {
    resource: Box<str>,
    #[serde(default)]
    scope: Box<str>,
    // `null` if the resource itself is not served, only subresources are.
    #[serde(default)]
    verbs: VerbList,
    #[serde(default)]
    subresources: Option<Vec<AggregatedSubresource>>,
}

#[derive(Debug, Deserialize)]
struct AggregatedSubresource {
    subresource: Box<str>,
    #[serde(default)]
    verbs: VerbList,
}

impl AggregatedList {
    /// Returns what the document lists. Leaves out names that no path could
    /// carry, and groups without a usable name or version.
    #[must_use]
    pub fn read(mut self, part: Part) -> Listing {
        let count = self.0.len();
        self.0.retain(|Group { names, .. }| {
            // The core group has no name in `/api`, and no other group is there.
            let named = Part::of_group(&names.name) == part && !names.name.contains('/');
            named && !names.versions.is_empty()
        });
        let mut listing = Listing::new(self.0);
        listing.amended |= listing.groups().len() != count;
        listing
    }
}

impl AggregatedGroup {
    fn longest_inner_list(&self) -> usize {
        let resources = self.versions.iter().flat_map(|version| &version.resources);
        let subresources = resources.filter_map(|r| Some(r.subresources.as_ref()?.len()));
        subresources.max().unwrap_or(0).max(self.versions.len())
    }

    fn names(self) -> GroupNames {
        let mut versions = Vec::<Version>::with_capacity(self.versions.len());
        for version in self.versions {
            let known = versions.iter().any(|other| other.name == version.version);
            if is_segment(&version.version) && !known {
                versions.push(version.read());
            }
        }
        GroupNames { name: self.metadata.name, versions: versions.into() }
    }
}

impl AggregatedVersion {
    fn read(self) -> Version {
        let (mut namespaced, mut cluster_scoped) = (Named::new(), Named::new());
        for resource in &self.resources {
            // What is in a namespace can also be listed over all of them: of the
            // two, the safer guess if a server does not say.
            let is_namespaced = &*resource.scope != "Cluster";
            let scoped = if is_namespaced { &mut namespaced } else { &mut cluster_scoped };
            scoped.extend(resource.types());
        }
        Version {
            name: self.version,
            types: Types::new(namespaced, cluster_scoped),
            // Absent and future values alike say that it is current.
            stale: &*self.freshness == "Stale",
        }
    }
}

impl AggregatedResource {
    fn types(&self) -> impl Iterator<Item = (Box<str>, Verbs)> {
        let subresources = self.subresources.as_deref().unwrap_or_default();
        let served = subresources.is_empty() || self.verbs.is_given;
        let subresources = subresources.iter().filter(|sub| is_segment(&sub.subresource));
        let types = subresources
            .map(|sub| (format!("{}/{}", self.resource, sub.subresource).into(), sub.verbs.verbs));
        let types = types.chain(served.then(|| (self.resource.clone(), self.verbs.verbs)));
        types.filter(|_| is_segment(&self.resource))
    }
}

/// Returns whether a name can be one segment of a path. Other names would make
/// the whole map invalid, and one peer must not be able to do that.
pub(crate) fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

#[cfg(test)]
mod tests;
