//! Kubernetes' `Status`, as it travels: in JSON, and in protobuf with the field
//! numbers of k8s.io/apimachinery/pkg/runtime/generated.proto and
//! k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto. Fields that are neither
//! read nor written here are left out.

use prost::Message;
use serde::Deserialize;

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

/// `meta.v1.Status`; what is not read of JSON is skipped.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    #[serde(skip)]
    pub(crate) status: String,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
    #[prost(string, tag = "4")]
    #[serde(skip)]
    pub(crate) reason: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) details: Option<StatusDetails>,
    #[prost(int32, tag = "6")]
    #[serde(skip)]
    pub(crate) code: i32,
}

/// `meta.v1.StatusDetails`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub(crate) struct StatusDetails {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
    #[prost(int32, tag = "5")]
    #[serde(skip)]
    pub(crate) retry_after_seconds: i32,
}

impl Status {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let Self { status, message, reason, details, code } = self;
        // Only the message may need escapes; text cannot fail to serialize.
        let message = serde_json::to_string(message).unwrap_or_default();
        let seconds = details.as_ref().map(|details| details.retry_after_seconds);
        let details = seconds.map(|s| format!(r#""details":{{"retryAfterSeconds":{s}}},"#));
        let details = details.unwrap_or_default();
        let start = r#"{"kind":"Status","apiVersion":"v1","metadata":{}"#;
        let why = format!(r#""status":"{status}","message":{message},"reason":"{reason}""#);
        format!("{start},{why},{details}\"code\":{code}}}\n").into_bytes()
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
