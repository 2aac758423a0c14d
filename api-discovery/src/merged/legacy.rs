//! The documents that are older than aggregated discovery, made from it.
//!
//! They leave out `storageVersionHash`, which is in the older documents alone: it
//! tells which peers store objects alike, and a merged document cannot say that.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::aggregated::MergedGroup;

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

/// Renders an `APIGroupList`: `/apis`.
pub(super) fn group_list(groups: &[MergedGroup]) -> serde_json::Result<String> {
    let groups = groups.iter().map(|group| entry(group, false)).collect();
    line(&GroupList { kind: "APIGroupList", api_version: "v1", groups })
}

/// Renders an `APIGroup`: `/apis/<group>`.
pub(super) fn group(group: &MergedGroup) -> serde_json::Result<String> {
    line(&entry(group, true))
}

fn entry(group: &MergedGroup, alone: bool) -> GroupEntry<'_> {
    let name = &*group.name;
    let version = |version| GroupVersion { group_version: format!("{name}/{version}"), version };
    let versions = group.versions.iter().map(|name| version(&**name));
    GroupEntry {
        kind: alone.then_some("APIGroup"),
        api_version: alone.then_some("v1"),
        name,
        versions: versions.collect(),
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

/// Renders an `APIResourceList`: `/api/<version>` and `/apis/<group>/<version>`.
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
    let (api_version, group_version) = if group.is_empty() {
        // The core group's list has no `apiVersion`.
        (None, version.to_owned())
    } else {
        (Some("v1"), format!("{group}/{version}"))
    };
    line(&ResourceList { kind: "APIResourceList", api_version, group_version, resources })
}

impl Common {
    /// Leaves out group and version if they are the list's own.
    fn entry(self, name: String, namespaced: bool, own: (&str, &str)) -> Resource {
        let Kind { group, version, kind } = self.response_kind.unwrap_or_default();
        let (group, version) = if (group.as_str(), version.as_str()) == own {
            Default::default()
        } else {
            (group, version)
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
