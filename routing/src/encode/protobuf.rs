//! Kubernetes' protobuf: an envelope, and in it one of the discovery messages.
//!
//! Field numbers are those of k8s.io/apimachinery/pkg/{runtime,apis/meta/v1} and
//! k8s.io/api/apidiscovery/{v2,v2beta1}, `generated.proto`. Kubernetes' own code
//! (gogo/protobuf) writes fields in the order of their numbers, and a string or
//! number even if it is empty; hence `required`.

use prost::Message;
use serde::{Deserialize, Deserializer};

use crate::wire::MAGIC;

/// `runtime.Unknown`: the envelope.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Envelope {
    #[prost(message, required, tag = "1")]
    pub(super) type_meta: TypeMeta,
    #[prost(bytes = "vec", required, tag = "2")]
    pub(super) raw: Vec<u8>,
    #[prost(string, required, tag = "3")]
    pub(super) content_encoding: String,
    #[prost(string, required, tag = "4")]
    pub(super) content_type: String,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TypeMeta {
    #[prost(string, required, tag = "1")]
    pub(super) api_version: String,
    #[prost(string, required, tag = "2")]
    pub(super) kind: String,
}

/// `meta.v1.APIVersions`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct ApiVersions {
    #[prost(string, repeated, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) versions: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    #[serde(rename = "serverAddressByClientCIDRs", deserialize_with = "or_empty")]
    pub(super) addresses: Vec<ServerAddress>,
}

/// `meta.v1.ServerAddressByClientCIDR`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServerAddress {
    #[prost(string, required, tag = "1")]
    #[serde(rename = "clientCIDR")]
    pub(super) client_cidr: String,
    #[prost(string, required, tag = "2")]
    pub(super) server_address: String,
}

/// `meta.v1.APIGroupList`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct ApiGroupList {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) groups: Vec<ApiGroup>,
}

/// `meta.v1.APIGroup`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ApiGroup {
    #[prost(string, required, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) versions: Vec<GroupVersion>,
    #[prost(message, required, tag = "3")]
    pub(super) preferred_version: GroupVersion,
    #[prost(message, repeated, tag = "4")]
    #[serde(rename = "serverAddressByClientCIDRs", deserialize_with = "or_empty")]
    pub(super) addresses: Vec<ServerAddress>,
}

/// `meta.v1.GroupVersionForDiscovery`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GroupVersion {
    #[prost(string, required, tag = "1")]
    pub(super) group_version: String,
    #[prost(string, required, tag = "2")]
    pub(super) version: String,
}

/// `meta.v1.APIResourceList`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ApiResourceList {
    #[prost(string, required, tag = "1")]
    pub(super) group_version: String,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) resources: Vec<ApiResource>,
}

/// `meta.v1.APIResource`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ApiResource {
    #[prost(string, required, tag = "1")]
    pub(super) name: String,
    #[prost(bool, required, tag = "2")]
    pub(super) namespaced: bool,
    #[prost(string, required, tag = "3")]
    pub(super) kind: String,
    #[prost(message, optional, tag = "4")]
    pub(super) verbs: Option<Verbs>,
    #[prost(string, repeated, tag = "5")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) short_names: Vec<String>,
    #[prost(string, required, tag = "6")]
    pub(super) singular_name: String,
    #[prost(string, repeated, tag = "7")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) categories: Vec<String>,
    #[prost(string, required, tag = "8")]
    pub(super) group: String,
    #[prost(string, required, tag = "9")]
    pub(super) version: String,
    #[prost(string, required, tag = "10")]
    pub(super) storage_version_hash: String,
}

/// `meta.v1.Verbs`: in JSON the list itself.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(transparent)]
pub(super) struct Verbs {
    #[prost(string, repeated, tag = "1")]
    pub(super) items: Vec<String>,
}

/// `apidiscovery.APIGroupDiscoveryList`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct GroupDiscoveryList {
    #[prost(message, required, tag = "1")]
    pub(super) metadata: ListMeta,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) items: Vec<GroupDiscovery>,
}

/// `meta.v1.ListMeta`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMeta {
    #[prost(string, required, tag = "1")]
    pub(super) self_link: String,
    #[prost(string, required, tag = "2")]
    pub(super) resource_version: String,
    #[prost(string, required, tag = "3")]
    pub(super) r#continue: String,
}

/// `apidiscovery.APIGroupDiscovery`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct GroupDiscovery {
    #[prost(message, required, tag = "1")]
    pub(super) metadata: ObjectMeta,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) versions: Vec<VersionDiscovery>,
}

/// `meta.v1.ObjectMeta`: of a group only the name is set, and the rest is written empty.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct ObjectMeta {
    #[prost(string, required, tag = "1")]
    pub(super) name: String,
    #[prost(string, required, tag = "2")]
    #[serde(skip)]
    pub(super) generate_name: String,
    #[prost(string, required, tag = "3")]
    #[serde(skip)]
    pub(super) namespace: String,
    #[prost(string, required, tag = "4")]
    #[serde(skip)]
    pub(super) self_link: String,
    #[prost(string, required, tag = "5")]
    #[serde(skip)]
    pub(super) uid: String,
    #[prost(string, required, tag = "6")]
    #[serde(skip)]
    pub(super) resource_version: String,
    #[prost(int64, required, tag = "7")]
    #[serde(skip)]
    pub(super) generation: i64,
    /// `meta.v1.Time`, which is empty for no time.
    #[prost(message, required, tag = "8")]
    #[serde(skip)]
    pub(super) creation_timestamp: Time,
}

/// `meta.v1.Time`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Time {}

/// `apidiscovery.APIVersionDiscovery`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct VersionDiscovery {
    #[prost(string, required, tag = "1")]
    pub(super) version: String,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) resources: Vec<ResourceDiscovery>,
    #[prost(string, required, tag = "3")]
    pub(super) freshness: String,
}

/// `apidiscovery.APIResourceDiscovery`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceDiscovery {
    #[prost(string, required, tag = "1")]
    pub(super) resource: String,
    #[prost(message, optional, tag = "2")]
    pub(super) response_kind: Option<GroupVersionKind>,
    #[prost(string, required, tag = "3")]
    pub(super) scope: String,
    #[prost(string, required, tag = "4")]
    pub(super) singular_resource: String,
    #[prost(string, repeated, tag = "5")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) verbs: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) short_names: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) categories: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) subresources: Vec<SubresourceDiscovery>,
}

/// `apidiscovery.APISubresourceDiscovery`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SubresourceDiscovery {
    #[prost(string, required, tag = "1")]
    pub(super) subresource: String,
    #[prost(message, optional, tag = "2")]
    pub(super) response_kind: Option<GroupVersionKind>,
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) accepted_types: Vec<GroupVersionKind>,
    #[prost(string, repeated, tag = "4")]
    #[serde(deserialize_with = "or_empty")]
    pub(super) verbs: Vec<String>,
}

/// `meta.v1.GroupVersionKind`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersionKind {
    #[prost(string, required, tag = "1")]
    pub(super) group: String,
    #[prost(string, required, tag = "2")]
    pub(super) version: String,
    #[prost(string, required, tag = "3")]
    pub(super) kind: String,
}

/// Writes a document of JSON; `None` if it is not a document of discovery.
pub(super) fn from_json(json: &[u8]) -> Option<Vec<u8>> {
    let type_meta: TypeMeta = serde_json::from_slice(json).ok()?;
    let raw = match &*type_meta.kind {
        "APIVersions" => message::<ApiVersions>(json),
        "APIGroupList" => message::<ApiGroupList>(json),
        "APIGroup" => message::<ApiGroup>(json),
        "APIResourceList" => message::<ApiResourceList>(json),
        "APIGroupDiscoveryList" => message::<GroupDiscoveryList>(json),
        _ => None,
    };
    let envelope = Envelope { type_meta, raw: raw?, ..Envelope::default() };
    let mut document = Vec::with_capacity(MAGIC.len().saturating_add(envelope.encoded_len()));
    document.extend_from_slice(MAGIC);
    envelope.encode(&mut document).ok()?;
    Some(document)
}

fn message<'j, M: Message + Deserialize<'j>>(json: &'j [u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<M>(json).ok().map(|message| message.encode_to_vec())
}

/// A list that can be `null`, as Go writes one that was never made.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}
