//! Kubernetes' `Status`, as it travels: in JSON, and in protobuf with the field
//! numbers of k8s.io/apimachinery/pkg/runtime/generated.proto and
//! k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto. Fields that are neither
//! read nor written here are left out.

use prost::Message;
use serde::{Deserialize, Serialize};

/// What stands before the envelope of protobuf.
pub(crate) const MAGIC: &[u8] = b"k8s\0";

/// `runtime.Unknown`: the envelope.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub(crate) type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) raw: Vec<u8>,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeMeta {
    #[prost(string, tag = "1")]
    pub(crate) api_version: String,
    #[prost(string, tag = "2")]
    pub(crate) kind: String,
}

/// `meta.v1.Status`.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub(crate) status: String,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
    #[prost(string, tag = "4")]
    pub(crate) reason: String,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<StatusDetails>,
    #[prost(int32, tag = "6")]
    pub(crate) code: i32,
}

/// `meta.v1.StatusDetails`.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StatusDetails {
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[prost(int32, tag = "5")]
    pub(crate) retry_after_seconds: i32,
}

/// The `Status` in JSON, with what protobuf has in the envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'s> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    #[serde(flatten)]
    status: &'s Status,
}

/// Always empty.
#[derive(Serialize)]
struct Metadata {}

impl Status {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let json = Json { kind: "Status", api_version: "v1", metadata: Metadata {}, status: self };
        // Plain strings and numbers cannot fail to serialize.
        let mut body = serde_json::to_vec(&json).unwrap_or_default();
        body.push(b'\n');
        body
    }

    pub(crate) fn to_protobuf(&self) -> Vec<u8> {
        let type_meta = TypeMeta { api_version: "v1".into(), kind: "Status".into() };
        let unknown = Unknown { type_meta: Some(type_meta), raw: self.encode_to_vec() };
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    pub(crate) fn from_json(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(crate) fn from_protobuf(body: &[u8]) -> Option<Self> {
        let unknown = Unknown::decode(body.strip_prefix(MAGIC)?).ok()?;
        (unknown.type_meta.unwrap_or_default().kind == "Status").then_some(())?;
        Self::decode(unknown.raw.as_slice()).ok()
    }
}
