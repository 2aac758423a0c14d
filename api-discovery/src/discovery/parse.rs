//! The documents as kube-apiservers write them.
//!
//! One [`Document`] reads whichever form a server answers with, told by its
//! `kind`: aggregated discovery (v2 and v2beta1, equal in all that matters
//! here) or the older lists. Of aggregated discovery each group's text is kept
//! beside the names, for the merged documents.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{ListedVersion, Listing, Part};
use crate::documents::{Aggregated, Group, LegacyResource};

/// More groups than any control plane has.
const MAX_GROUPS: usize = 20_000;

/// More versions than any group, and more subresources than any resource, has.
const MAX_INNER: usize = 256;

/// The answer to `/api` or `/apis`, in any form.
#[derive(Debug)]
pub enum Document {
    /// Aggregated discovery: everything in one document.
    Aggregated(AggregatedList),
    /// The old `/apis`: groups and versions, resources elsewhere.
    Groups(LegacyGroupList),
    /// The old `/api`: versions, resources elsewhere.
    Versions(LegacyVersions),
}

impl<'de> Deserialize<'de> for Document {
    /// Not a tagged enum: serde would hold the whole document in memory
    /// before it looks at the tag.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct AnyForm {
            kind: String,
            #[serde(default)]
            items: Items,
            #[serde(default)]
            groups: Vec<LegacyGroup>,
            #[serde(default)]
            versions: Vec<Box<str>>,
        }

        let AnyForm { kind, items, groups, versions } = AnyForm::deserialize(deserializer)?;
        match kind.as_str() {
            "APIGroupDiscoveryList" => Ok(Self::Aggregated(AggregatedList { items: items.0 })),
            "APIGroupList" => Ok(Self::Groups(LegacyGroupList { groups })),
            "APIVersions" => Ok(Self::Versions(LegacyVersions { versions })),
            other => Err(D::Error::custom(format_args!("{other:?} is no kind of discovery"))),
        }
    }
}

/// The old `/api/<version>` and `/apis/<group>/<version>`.
#[derive(Debug, Default, Deserialize)]
pub struct LegacyGroupVersion {
    #[serde(default)]
    resources: Vec<LegacyResource>,
}

/// A list of groups with everything in them.
#[derive(Debug)]
pub struct AggregatedList {
    items: Vec<Item>,
}

#[derive(Debug, Default)]
struct Items(Vec<Item>);

/// A group, read and as it was.
#[derive(Debug)]
struct Item {
    group: AggregatedGroup,
    text: Box<RawValue>,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Items;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of groups")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
                let mut read = Vec::new();
                while let Some(text) = items.next_element::<Box<RawValue>>()? {
                    let group: AggregatedGroup =
                        serde_json::from_str(text.get()).map_err(A::Error::custom)?;
                    let inner = || group.versions.iter().flat_map(|version| &version.resources);
                    let most = inner().filter_map(|r| Some(r.subresources.as_ref()?.len())).max();
                    if read.len() == MAX_GROUPS
                        || group.versions.len().max(most.unwrap_or(0)) > MAX_INNER
                    {
                        return Err(A::Error::custom("more groups or versions than can be"));
                    }
                    read.push(Item { group, text });
                }
                Ok(Items(read))
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
    freshness: Freshness,
}

#[derive(Debug, Default, Deserialize)]
enum Freshness {
    Stale,
    // Absent and future values alike: only `Stale` says that it is not current.
    #[default]
    #[serde(other)]
    Current,
}

#[derive(Debug, Deserialize)]
struct AggregatedResource {
    resource: Box<str>,
    #[serde(default)]
    scope: Scope,
    // `null` where the resource itself is not served, only subresources are.
    #[serde(default)]
    verbs: Option<Vec<Skipped>>,
    #[serde(default)]
    subresources: Option<Vec<AggregatedSubresource>>,
}

#[derive(Debug, Default, Deserialize)]
enum Scope {
    Cluster,
    // What is in a namespace can also be listed over all of them: of the two,
    // the safer guess where a server does not say.
    #[default]
    #[serde(other)]
    Namespaced,
}

#[derive(Debug, Deserialize)]
struct AggregatedSubresource {
    subresource: Box<str>,
}

/// A value of which only the presence counts.
#[derive(Debug)]
struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Groups with their versions.
#[derive(Debug)]
pub struct LegacyGroupList {
    groups: Vec<LegacyGroup>,
}

#[derive(Debug, Deserialize)]
struct LegacyGroup {
    name: Box<str>,
    #[serde(default)]
    versions: Vec<LegacyVersion>,
}

#[derive(Debug, Deserialize)]
struct LegacyVersion {
    version: Box<str>,
}

/// The versions of the core group.
#[derive(Debug)]
pub struct LegacyVersions {
    versions: Vec<Box<str>>,
}

impl AggregatedList {
    /// The listing, and the document; names that no path could carry are left
    /// out of the listing, and groups without a usable name or version of both.
    #[must_use]
    pub fn read(self, part: Part) -> (Listing, Aggregated) {
        let mut listing = Listing::default();
        let mut groups = Vec::with_capacity(self.items.len());
        let all = self.items.len();
        for Item { group, text } in self.items {
            let name = group.metadata.name;
            // The core group has no name in `/api`, and no other is there.
            if name.is_empty() != (part == Part::Core) || name.contains('/') {
                continue;
            }
            let mut document = Group {
                name: name.clone(),
                versions: Box::default(),
                hollow: false,
                text: text.into(),
            };
            let mut names_of_versions = Vec::with_capacity(group.versions.len());
            let versions = listing.0.entry(name).or_default();
            for version in group.versions.into_iter().filter(|v| is_segment(&v.version)) {
                let mut listed = ListedVersion {
                    stale: matches!(version.freshness, Freshness::Stale),
                    ..ListedVersion::default()
                };
                document.hollow |= listed.stale || version.resources.is_empty();
                for resource in version.resources {
                    let scoped = match resource.scope {
                        Scope::Namespaced => &mut listed.namespaced,
                        Scope::Cluster => &mut listed.cluster_scoped,
                    };
                    scoped.extend(names(resource));
                }
                if !names_of_versions.contains(&version.version) {
                    names_of_versions.push(version.version.clone());
                }
                versions.insert(version.version, listed.without_contradiction());
            }
            if !names_of_versions.is_empty() {
                document.versions = names_of_versions.into();
                groups.push(document);
            }
        }
        listing.0.retain(|_, versions| !versions.is_empty());
        let mut document = Aggregated::new(groups);
        document.amended |= document.groups.len() != all;
        (listing, document)
    }
}

fn names(resource: AggregatedResource) -> Vec<Box<str>> {
    if !is_segment(&resource.resource) {
        return Vec::new();
    }
    let subresources = resource.subresources.unwrap_or_default();
    let served = resource.verbs.is_some_and(|verbs| !verbs.is_empty()) || subresources.is_empty();
    let mut names = Vec::with_capacity(subresources.len() + usize::from(served));
    for sub in subresources.iter().filter(|sub| is_segment(&sub.subresource)) {
        names.push(format!("{}/{}", resource.resource, sub.subresource).into_boxed_str());
    }
    if served {
        names.push(resource.resource);
    }
    names
}

impl LegacyGroupList {
    /// Every group-version whose own document is to be read.
    pub fn group_versions(self) -> impl Iterator<Item = (Box<str>, Box<str>)> {
        let groups = self.groups.into_iter().filter(|group| is_segment(&group.name));
        groups.flat_map(|group| {
            let versions = group.versions.into_iter().map(|version| version.version);
            let versions = versions.filter(|version| is_segment(version));
            versions.map(move |version| (group.name.clone(), version))
        })
    }
}

impl LegacyVersions {
    /// Every group-version whose own document is to be read.
    pub fn group_versions(self) -> impl Iterator<Item = (Box<str>, Box<str>)> {
        let versions = self.versions.into_iter().filter(|version| is_segment(version));
        versions.map(|version| ("".into(), version))
    }
}

impl LegacyGroupVersion {
    /// The listing of this one group-version.
    #[must_use]
    pub fn listed(&self) -> ListedVersion {
        let mut listed = ListedVersion::default();
        for resource in &self.resources {
            let sound = match resource.name.split_once('/') {
                None => is_segment(&resource.name),
                Some((parent, subresource)) => is_segment(parent) && is_segment(subresource),
            };
            if sound {
                let scoped = match resource.namespaced {
                    true => &mut listed.namespaced,
                    false => &mut listed.cluster_scoped,
                };
                scoped.insert(resource.name.as_str().into());
            }
        }
        listed.without_contradiction()
    }

    /// What aggregated discovery would say of it (JSON).
    #[must_use]
    pub fn aggregated(&self, group: &str, version: &str, stale: bool) -> String {
        crate::documents::aggregated_version(group, version, stale, &self.resources)
    }
}

impl ListedVersion {
    /// A name has one scope. That a server gives it two is not known to
    /// happen; it must not make the map invalid.
    fn without_contradiction(mut self) -> Self {
        let Self { namespaced, cluster_scoped, .. } = &mut self;
        cluster_scoped.retain(|name| !namespaced.contains(name));
        self
    }
}

/// Whether a name can be one segment of a path; what is not would make the
/// whole map invalid, and one peer must not be able to.
fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn aggregated(json: &str, part: Part) -> Listing {
        match serde_json::from_str(json).unwrap() {
            Document::Aggregated(list) => list.read(part).0,
            other => panic!("not aggregated: {other:?}"),
        }
    }

    #[test]
    fn aggregated_discovery_lists_resources_and_subresources() {
        let listing = aggregated(
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},
            "items":[{"metadata":{"name":"apps","creationTimestamp":null},"versions":[{"version":"v1",
            "freshness":"Current","resources":[{"resource":"deployments","verbs":["get"],
            "responseKind":{"group":"","version":"","kind":"Deployment"},"scope":"Namespaced",
            "subresources":[{"subresource":"scale","verbs":["get"]}]}]}]}]}"#,
            Part::Named,
        );
        let version = &listing.0["apps"]["v1"];
        assert!(!version.stale);
        assert!(version.cluster_scoped.is_empty());
        let names: Vec<_> = version.namespaced.iter().map(|name| &**name).collect();
        assert_eq!(names, ["deployments", "deployments/scale"]);
    }

    #[test]
    fn a_parent_without_verbs_is_not_served_itself() {
        let listing = aggregated(
            r#"{"kind":"APIGroupDiscoveryList","items":[{"versions":[{"version":"v1","freshness":"Stale",
            "resources":[{"resource":"pods","scope":"Cluster","verbs":null,"subresources":[{"subresource":"x"}]}]}]}]}"#,
            Part::Core,
        );
        let version = &listing.0[""]["v1"];
        assert!(version.stale);
        assert_eq!(version.cluster_scoped.iter().map(|n| &**n).collect::<Vec<_>>(), ["pods/x"]);
    }

    #[test]
    fn names_that_no_path_could_carry_are_left_out() {
        let listing = aggregated(
            r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"g"},"versions":[
            {"version":"","resources":[]},{"version":"v1","resources":[{"resource":"","verbs":["get"]},
            {"resource":"a/b","verbs":["get"]},{"resource":"ok","verbs":["get"],
            "subresources":[{"subresource":"x/y"},{"subresource":""}]}]}]},
            {"metadata":{"name":"empty"},"versions":[]},{"metadata":{},"versions":[{"version":"v9"}]}]}"#,
            Part::Named,
        );
        assert_eq!(listing.0.keys().map(|k| &**k).collect::<Vec<_>>(), ["g"]);
        assert_eq!(listing.0["g"].len(), 1);
        let names = listing.0["g"]["v1"].namespaced.iter().map(|n| &**n).collect::<Vec<_>>();
        assert_eq!(names, ["ok"]);
    }

    #[test]
    fn the_older_forms_name_their_group_versions() {
        let json = r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":
            [{"groupVersion":"apps/v1","version":"v1"},{"groupVersion":"apps/v2","version":"v2"}]}]}"#;
        let Document::Groups(list) = serde_json::from_str(json).unwrap() else { panic!("form") };
        let all: Vec<_> = list.group_versions().collect();
        assert_eq!(all, [("apps".into(), "v1".into()), ("apps".into(), "v2".into())]);

        let json = r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#;
        let Document::Versions(list) = serde_json::from_str(json).unwrap() else { panic!("form") };
        assert_eq!(list.group_versions().collect::<Vec<_>>(), [("".into(), "v1".into())]);

        let json = r#"{"kind":"APIResourceList","resources":[{"name":"pods","namespaced":true},
            {"name":"pods/log","namespaced":true},{"name":"a/b/c"},{"name":"nodes","namespaced":false}]}"#;
        let list: LegacyGroupVersion = serde_json::from_str(json).unwrap();
        let listed = list.listed();
        assert_eq!(listed.namespaced, BTreeSet::from(["pods".into(), "pods/log".into()]));
        assert_eq!(listed.cluster_scoped, BTreeSet::from(["nodes".into()]));
    }

    #[test]
    fn another_kind_is_an_error() {
        assert!(serde_json::from_str::<Document>(r#"{"kind":"Status","code":200}"#).is_err());
    }
}
