//! The documents that are older than aggregated discovery, made from it.
//! `storageVersionHash` is in the older documents alone, so it is put in (`storage.rs`).

use serde::Serialize;
use serde_json::value::RawValue;

use super::aggregated::MergedGroup;
use crate::wire::{Kind, LegacyResource, Strings, Version};

/// A document with its kind and version. The core group's list of resources has no `apiVersion`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<T> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct GroupList<'d> {
    groups: Vec<Group<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group<'d> {
    name: &'d str,
    versions: Vec<GroupVersion<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_version: Option<GroupVersion<'d>>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion<'d> {
    group_version: String,
    version: &'d str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList {
    group_version: String,
    resources: Vec<LegacyResource>,
}

/// Renders an `APIGroupList`: `/apis`.
pub(super) fn group_list(groups: &[MergedGroup]) -> serde_json::Result<String> {
    let groups = groups.iter().map(body).collect();
    render("APIGroupList", Some("v1"), GroupList { groups })
}

/// Renders an `APIGroup`: `/apis/<group>`.
pub(super) fn group(group: &MergedGroup) -> serde_json::Result<String> {
    render("APIGroup", Some("v1"), body(group))
}

fn body(group: &MergedGroup) -> Group<'_> {
    let name = &*group.name;
    let version = |version| GroupVersion { group_version: format!("{name}/{version}"), version };
    let versions: Vec<_> = group.versions.iter().map(|name| version(&**name)).collect();
    Group { name, preferred_version: versions.first().cloned(), versions }
}

/// Renders an `APIResourceList`: `/api/<version>` and `/apis/<group>/<version>`. `storage_hash`
/// gives the hash of a resource's or subresource's storage version.
pub(super) fn resource_list<'s>(
    group: &str,
    version: &str,
    aggregated: &RawValue,
    storage_hash: impl Fn(&str) -> Option<&'s str>,
) -> serde_json::Result<String> {
    let listed: Version = serde_json::from_str(aggregated.get())?;
    let mut resources = Vec::new();
    for resource in listed.resources {
        let namespaced = resource.scope != "Cluster";
        let subresources = resource.subresources.unwrap_or_default();
        let served = resource.verbs.as_ref().is_some_and(|verbs| !verbs.is_empty());
        let entry = |name: String, kind, verbs| {
            let storage_version_hash = storage_hash(&name).unwrap_or_default().to_owned();
            let own = (group, version);
            LegacyResource { storage_version_hash, ..entry(name, namespaced, kind, verbs, own) }
        };
        if served || subresources.is_empty() {
            resources.push(LegacyResource {
                singular_name: resource.singular_resource,
                short_names: resource.short_names.filter(|names| !names.is_empty()),
                categories: resource.categories.filter(|names| !names.is_empty()),
                ..entry(resource.resource.clone(), resource.response_kind, resource.verbs)
            });
        }
        resources.extend(subresources.into_iter().map(|sub| {
            let name = format!("{}/{}", resource.resource, sub.subresource);
            entry(name, sub.response_kind, sub.verbs)
        }));
    }
    let (api_version, group_version) = if group.is_empty() {
        (None, version.to_owned())
    } else {
        (Some("v1"), format!("{group}/{version}"))
    };
    render("APIResourceList", api_version, ResourceList { group_version, resources })
}

/// Leaves out group and version if they are the list's own.
fn entry(
    name: String,
    namespaced: bool,
    kind: Option<Kind>,
    verbs: Option<Strings>,
    own: (&str, &str),
) -> LegacyResource {
    let Kind { group, version, kind } = kind.unwrap_or_default();
    let is_own = (group.as_str(), version.as_str()) == own;
    let (group, version) = if is_own { Default::default() } else { (group, version) };
    LegacyResource {
        name,
        singular_name: String::new(),
        namespaced,
        group,
        version,
        kind,
        verbs: Some(verbs.unwrap_or_default()),
        short_names: None,
        categories: None,
        storage_version_hash: String::new(),
    }
}

/// kube-apiserver ends its documents with a line feed.
fn render<T: Serialize>(
    kind: &'static str,
    api_version: Option<&'static str>,
    body: T,
) -> serde_json::Result<String> {
    let document = Document { kind, api_version, body };
    serde_json::to_string(&document).map(|json| json + "\n")
}
