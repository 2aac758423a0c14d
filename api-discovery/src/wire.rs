//! The two forms in which kube-apiservers describe a resource: that of aggregated
//! discovery, and the older one with subresources as entries of their own.

use serde::{Deserialize, Serialize};

/// An entry of an `APIResourceList`: a resource, or with a `/` in its name a
/// subresource. In the order of Kubernetes' `APIResource`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegacyResource {
    pub name: String,
    #[serde(default)]
    pub singular_name: String,
    #[serde(default)]
    pub namespaced: bool,
    /// Empty if it is the group of the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Empty if it is the version of the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub verbs: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_names: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub storage_version_hash: String,
}

/// A version in aggregated discovery.
#[derive(Deserialize)]
pub(crate) struct Version {
    #[serde(default)]
    pub resources: Vec<Resource>,
}

/// A resource in aggregated discovery.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<Kind>,
    #[serde(default)]
    pub scope: String,
    #[serde(default)]
    pub singular_resource: String,
    /// `null` or empty if only the subresources are served.
    #[serde(default)]
    pub verbs: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_names: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresources: Option<Vec<Subresource>>,
}

/// A subresource in aggregated discovery.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subresource {
    pub subresource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<Kind>,
    #[serde(default)]
    pub verbs: Option<Vec<String>>,
}

/// The kind of the objects that a resource or subresource takes and returns.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Kind {
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub kind: String,
}
