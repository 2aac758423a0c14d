//! Discovery documents as kube-apiservers write them.
//!
//! One [`DiscoveryDocument`] reads whichever form a server answers with, told by its `kind`:
//! aggregated discovery (v2 and v2beta1, equal in all that matters here) or the older lists. Each
//! group of aggregated discovery is read once, and its text is kept beside its names.

use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::limits::{
    MAX_GROUPS, MAX_INNER, MAX_TYPES, Name, TooManyTypes, TypeCount, exceeded, items,
};
use crate::listing::{Group, GroupNames, Listing, Named, Part, Types, Version};
use crate::verbs::{VerbList, Verbs};

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
            #[serde(default, deserialize_with = "items::<_, _, MAX_GROUPS>")]
            groups: Vec<ListedGroup>,
            #[serde(default, deserialize_with = "items::<_, _, MAX_INNER>")]
            versions: Vec<Name>,
        }

        let AnyForm { kind, items, groups, versions } = AnyForm::deserialize(deserializer)?;
        match kind.as_str() {
            "APIGroupDiscoveryList" => Ok(Self::Aggregated(items)),
            "APIGroupList" => {
                let named = groups.into_iter().filter(|group| is_segment(&group.name.0));
                let mut all = named.flat_map(ListedGroup::group_versions);
                let list = all.by_ref().take(MAX_GROUPS).collect();
                match all.next() {
                    Some(_) => Err(exceeded(MAX_GROUPS, "group-versions")),
                    None => Ok(Self::Legacy(list)),
                }
            }
            "APIVersions" => {
                let versions = versions.into_iter().map(|Name(version)| version);
                let versions = versions.filter(|version| is_segment(version));
                Ok(Self::Legacy(versions.map(|version| ("".into(), version)).collect()))
            }
            other => Err(D::Error::custom(format_args!("kind {other:?} is not discovery"))),
        }
    }
}

#[derive(Deserialize)]
struct ListedGroup {
    name: Name,
    #[serde(default, deserialize_with = "items::<_, _, MAX_INNER>")]
    versions: Vec<ListedVersion>,
}

#[derive(Deserialize)]
struct ListedVersion {
    version: Name,
}

impl ListedGroup {
    fn group_versions(self) -> impl Iterator<Item = GroupVersion> {
        let versions = self.versions.into_iter().map(|ListedVersion { version: Name(name) }| name);
        let versions = versions.filter(|version| is_segment(version));
        versions.map(move |version| (self.name.0.clone(), version))
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
                let (mut groups, mut types) = (Vec::new(), TypeCount::default());
                // Owned: a document is read block by block.
                while let Some(text) = items.next_element::<Box<RawValue>>()? {
                    if groups.len() == MAX_GROUPS {
                        return Err(exceeded(MAX_GROUPS, "groups"));
                    }
                    let group: AggregatedGroup<'_> =
                        serde_json::from_str(text.get()).map_err(A::Error::custom)?;
                    let names = Arc::new(group.names(&mut types).map_err(A::Error::custom)?);
                    groups.push(Group { names, text: Some(text.get().into()) });
                }
                Ok(AggregatedList(groups))
            }
        }

        deserializer.deserialize_seq(Visit)
    }
}

#[derive(Debug, Deserialize)]
struct AggregatedGroup<'t> {
    #[serde(default)]
    metadata: Metadata,
    /// Each is parsed on its own, so that only one is in memory with all its resources.
    #[serde(default, borrow, deserialize_with = "items::<_, _, MAX_INNER>")]
    versions: Vec<&'t RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: Name,
}

#[derive(Debug, Deserialize)]
struct AggregatedVersion {
    version: Name,
    #[serde(default, deserialize_with = "items::<_, _, MAX_TYPES>")]
    resources: Vec<AggregatedResource>,
    #[serde(default)]
    freshness: Box<str>,
}

#[derive(Debug, Deserialize)]
struct AggregatedResource {
    resource: Name,
    #[serde(default)]
    scope: Box<str>,
    // `null` if the resource itself is not served, only subresources are.
    #[serde(default)]
    verbs: VerbList,
    #[serde(default, deserialize_with = "items::<_, _, MAX_INNER>")]
    subresources: Vec<AggregatedSubresource>,
}

#[derive(Debug, Deserialize)]
struct AggregatedSubresource {
    subresource: Name,
    #[serde(default)]
    verbs: VerbList,
}

/// Why a group cannot be read.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    TooManyTypes(#[from] TooManyTypes),
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

impl AggregatedGroup<'_> {
    /// Returns the names in the group, and adds them to `types`.
    fn names(self, types: &mut TypeCount) -> Result<GroupNames, GroupError> {
        let mut versions = Vec::<Version>::with_capacity(self.versions.len());
        for json in self.versions {
            let version: AggregatedVersion = serde_json::from_str(json.get())?;
            types.add(version.count())?;
            let known = versions.iter().any(|other| other.name == version.version.0);
            if is_segment(&version.version.0) && !known {
                versions.push(version.read());
            }
        }
        Ok(GroupNames { name: self.metadata.name.0, versions: versions.into() })
    }
}

impl AggregatedVersion {
    /// Returns the number of its resources and subresources, with one for itself.
    fn count(&self) -> usize {
        let subresources = self.resources.iter().map(|resource| resource.subresources.len());
        1 + self.resources.len() + subresources.sum::<usize>()
    }

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
            name: self.version.0,
            types: Types::new(namespaced, cluster_scoped),
            // Absent and future values alike say that it is current.
            stale: &*self.freshness == "Stale",
        }
    }
}

impl AggregatedResource {
    fn types(&self) -> impl Iterator<Item = (Box<str>, Verbs)> {
        let Name(resource) = &self.resource;
        let served = self.subresources.is_empty() || self.verbs.is_given;
        let subresources = self.subresources.iter().map(|sub| (&sub.subresource.0, sub.verbs));
        let subresources = subresources.filter(|(name, _)| is_segment(name));
        let types = subresources
            .map(move |(name, verbs)| (format!("{resource}/{name}").into(), verbs.verbs));
        let types = types.chain(served.then(|| (resource.clone(), self.verbs.verbs)));
        types.filter(|_| is_segment(resource))
    }
}

/// Returns whether a name can be one segment of a path. Other names would make
/// the whole map invalid, and one peer must not be able to do that.
pub(crate) fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

#[cfg(test)]
mod tests;
