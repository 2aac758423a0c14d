//! The documents of before aggregated discovery: made from it, and for a peer
//! that has nothing else, it made from them.
//!
//! `storageVersionHash` is in these alone; it says which peers store objects
//! alike, of which a merged document can say nothing, and is left out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Aggregated, Group};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion<'d> {
    group_version: String,
    version: &'d str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupEntry<'d> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: &'d str,
    versions: Vec<GroupVersion<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_version: Option<GroupVersion<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList<'d> {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<GroupEntry<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<Resource>,
}

/// In the order of Kubernetes' `APIResource`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    singular_name: String,
    namespaced: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    kind: String,
    verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
}

/// `APIGroupList`: `/apis`.
pub(super) fn group_list(document: &Aggregated) -> serde_json::Result<String> {
    let groups = document.groups.iter().map(|group| entry(group, false)).collect();
    line(&GroupList { kind: "APIGroupList", api_version: "v1", groups })
}

/// `APIGroup`: `/apis/<group>`.
pub(super) fn group(group: &Group) -> serde_json::Result<String> {
    line(&entry(group, true))
}

fn entry(group: &Group, alone: bool) -> GroupEntry<'_> {
    let name = &*group.name;
    let version = |version| GroupVersion { group_version: format!("{name}/{version}"), version };
    let mut versions = group.versions.iter().map(|name| version(&**name));
    GroupEntry {
        kind: alone.then_some("APIGroup"),
        api_version: alone.then_some("v1"),
        name,
        versions: versions.by_ref().collect(),
        preferred_version: group.versions.first().map(|name| version(&**name)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    resources: Vec<AggregatedResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    subresources: Option<Vec<Subresource>>,
    #[serde(default)]
    short_names: Option<Vec<String>>,
    #[serde(default)]
    categories: Option<Vec<String>>,
    #[serde(flatten)]
    common: Common,
}

#[derive(Deserialize)]
struct Subresource {
    subresource: String,
    #[serde(flatten)]
    common: Common,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    #[serde(default)]
    response_kind: Option<Kind>,
    #[serde(default)]
    verbs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
}

/// `APIResourceList`: `/api/<version>` and `/apis/<group>/<version>`.
pub(super) fn resource_list(
    group: &str,
    version: &str,
    aggregated: &RawValue,
) -> serde_json::Result<String> {
    let listed: Version = serde_json::from_str(aggregated.get())?;
    let mut resources = Vec::new();
    for resource in listed.resources {
        let namespaced = resource.scope != "Cluster";
        let subresources = resource.subresources.unwrap_or_default();
        let own = (group, version);
        let verbs = resource.common.verbs.as_ref();
        if subresources.is_empty() || verbs.is_some_and(|verbs| !verbs.is_empty()) {
            resources.push(Resource {
                singular_name: resource.singular_resource,
                short_names: resource.short_names.unwrap_or_default(),
                categories: resource.categories.unwrap_or_default(),
                ..resource.common.entry(resource.resource.clone(), namespaced, own)
            });
        }
        resources.extend(subresources.into_iter().map(|sub| {
            let name = format!("{}/{}", resource.resource, sub.subresource);
            sub.common.entry(name, namespaced, own)
        }));
    }
    let (api_version, group_version) = match group.is_empty() {
        // The core group's list has none.
        true => (None, version.to_owned()),
        false => (Some("v1"), format!("{group}/{version}")),
    };
    line(&ResourceList { kind: "APIResourceList", api_version, group_version, resources })
}

impl Common {
    /// Group and version are only there where they are not the list's own.
    fn entry(self, name: String, namespaced: bool, own: (&str, &str)) -> Resource {
        let Kind { group, version, kind } = self.response_kind.unwrap_or_default();
        let (group, version) = match (group.as_str(), version.as_str()) == own {
            true => Default::default(),
            false => (group, version),
        };
        Resource {
            name,
            singular_name: String::new(),
            namespaced,
            group,
            version,
            kind,
            verbs: self.verbs.unwrap_or_default(),
            short_names: Vec::new(),
            categories: Vec::new(),
        }
    }
}

/// kube-apiserver ends its documents with a line feed.
fn line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|json| json + "\n")
}

/// An entry of an `APIResourceList`: a resource, or with a `/` in its name a
/// subresource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyResource {
    /// `pods`, `pods/log`.
    pub name: String,
    /// Whether it is in a namespace.
    #[serde(default)]
    pub namespaced: bool,
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

/// A version as aggregated discovery has it (JSON), as a kube-apiserver itself
/// makes it of the older form.
#[must_use]
pub fn aggregated_version(
    group: &str,
    version: &str,
    stale: bool,
    listed: &[LegacyResource],
) -> String {
    use serde_json::{Map, Value, json};

    let kind = |entry: &LegacyResource| {
        let group = if entry.group.is_empty() { group } else { &entry.group };
        let version = if entry.version.is_empty() { version } else { &entry.version };
        json!({"group": group, "version": version, "kind": entry.kind})
    };
    let scope = |entry: &LegacyResource| if entry.namespaced { "Namespaced" } else { "Cluster" };
    let mut resources = Vec::<Map<String, Value>>::new();
    let mut positions = std::collections::HashMap::<&str, usize>::new();
    let (parents, subresources): (Vec<_>, Vec<_>) =
        listed.iter().partition(|entry| !entry.name.contains('/'));
    for entry in parents {
        if positions.insert(&entry.name, resources.len()).is_some() {
            continue;
        }
        let mut resource = Map::new();
        resource.insert("resource".into(), entry.name.as_str().into());
        resource.insert("responseKind".into(), kind(entry));
        resource.insert("scope".into(), scope(entry).into());
        resource.insert("singularResource".into(), entry.singular_name.as_str().into());
        resource.insert("verbs".into(), entry.verbs.clone().unwrap_or_default().into());
        for (field, names) in
            [("shortNames", &entry.short_names), ("categories", &entry.categories)]
        {
            if let Some(names) = names {
                resource.insert(field.into(), names.clone().into());
            }
        }
        resources.push(resource);
    }
    for entry in subresources {
        let Some((parent, name)) = entry.name.split_once('/') else { continue };
        let at = *positions.entry(parent).or_insert_with(|| {
            let mut resource = Map::new();
            resource.insert("resource".into(), parent.into());
            resource.insert("scope".into(), scope(entry).into());
            resource.insert("verbs".into(), Value::Null);
            resources.push(resource);
            resources.len() - 1
        });
        let Some(resource) = resources.get_mut(at) else { continue };
        let list = resource.entry("subresources").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            let verbs = entry.verbs.clone().unwrap_or_default();
            list.push(json!({"subresource": name, "responseKind": kind(entry), "verbs": verbs}));
        }
    }
    let freshness = if stale { "Stale" } else { "Current" };
    json!({"version": version, "resources": resources, "freshness": freshness}).to_string()
}
