//! The `Status` objects of an API server's refusals, in each media type that it
//! supports, byte for byte.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use serde::Serialize;

use super::accept::Form;
use super::reply::Answer;

/// The `Status` of an answer without success.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    status: &'static str,
    message: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    code: u16,
}

#[derive(Debug, Clone, Serialize)]
struct Empty {}

/// The object or type that the answer is about.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
}

impl Details {
    /// Returns those of an object, or of a type if `name` is empty.
    pub(super) fn new(group: &str, resource: &str, name: &str) -> Self {
        Self { name: name.to_owned(), group: group.to_owned(), kind: resource.to_owned() }
    }

    /// `deployments.apps`, as messages call it.
    fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

impl Status {
    fn new(code: u16, reason: &'static str, message: String, details: Option<Details>) -> Self {
        let (kind, api_version, status) = ("Status", "v1", "Failure");
        Self { kind, api_version, metadata: Empty {}, status, message, reason, details, code }
    }

    /// The server does not know the type (in JSON).
    pub(super) fn type_not_found() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message.to_owned(), Some(Details::default()))
    }

    /// The object does not exist.
    pub(super) fn object_not_found(details: Details) -> Self {
        let message = format!("{} \"{}\" not found", details.qualified(), details.name);
        Self::new(404, "NotFound", message, Some(details))
    }

    /// There is nothing to proxy to.
    pub(super) fn no_endpoints(service: &str) -> Self {
        let message = format!("no endpoints available for service \"{service}\"");
        Self::new(503, "ServiceUnavailable", message, None)
    }

    /// The object already exists.
    pub(super) fn already_exists(details: Details) -> Self {
        let message = format!("{} \"{}\" already exists", details.qualified(), details.name);
        Self::new(409, "AlreadyExists", message, Some(details))
    }

    /// The resource does not support the verb.
    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message.to_owned(), Some(Details::default()))
    }

    /// None of the accepted forms of an object is supported.
    pub(super) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: \
                       application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(406, "NotAcceptable", message.to_owned(), Some(Details::default()))
    }

    /// None of the accepted forms of a discovery document is supported.
    pub(super) fn discovery_not_acceptable() -> Self {
        let message = "only the following media types are accepted: \
                       application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(406, "NotAcceptable", message.to_owned(), None)
    }

    /// The form of the request's body is not supported.
    pub(super) fn unsupported_media_type() -> Self {
        let message = "the body of the request was in an unknown format - \
                       accepted media types include: application/json";
        Self::new(415, "UnsupportedMediaType", message.to_owned(), None)
    }

    /// The request's body is not an object.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into(), None)
    }

    /// Returns the answer in `form`; `None` stands for a form that the server does not
    /// speak, for which it falls back to indented JSON.
    pub(super) fn answer(&self, form: Option<Form>) -> Answer {
        let (media_type, body) = match form {
            Some(Form::Yaml) => ("application/yaml", self.yaml()),
            Some(Form::Protobuf) => ("application/vnd.kubernetes.protobuf", self.protobuf()),
            Some(Form::Json) => ("application/json", self.json(false)),
            None => ("application/json", self.json(true)),
        };
        let status = StatusCode::from_u16(self.code).unwrap_or_default();
        let headers = [(CACHE_CONTROL, "no-cache, private"), (CONTENT_TYPE, media_type)];
        (status, headers, Body::from(body)).into_response()
    }

    fn json(&self, indented: bool) -> Vec<u8> {
        // A struct of strings and numbers always serializes.
        if indented {
            return serde_json::to_vec_pretty(self).unwrap_or_default();
        }
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        body
    }

    fn yaml(&self) -> Vec<u8> {
        let mut text = format!("apiVersion: {}\ncode: {}\n", self.api_version, self.code);
        if let Some(details) = &self.details {
            let fields =
                [("group", &details.group), ("kind", &details.kind), ("name", &details.name)];
            let fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
            text.push_str(if fields.is_empty() { "details: {}\n" } else { "details:\n" });
            for (field, value) in fields {
                text.push_str(&format!("  {field}: {value}\n"));
            }
        }
        let Self { kind, message, reason, status, .. } = self;
        text.push_str(&format!(
            "kind: {kind}\nmessage: {message}\nmetadata: {{}}\nreason: {reason}\nstatus: {status}\n"
        ));
        text.into_bytes()
    }

    /// `runtime.Unknown` around `meta/v1.Status`, after the magic number.
    fn protobuf(&self) -> Vec<u8> {
        let mut status = field(1, &[field(1, b""), field(2, b""), field(3, b"")].concat());
        status.extend(field(2, self.status.as_bytes()));
        status.extend(field(3, self.message.as_bytes()));
        status.extend(field(4, self.reason.as_bytes()));
        if let Some(details) = &self.details {
            let mut message = field(1, details.name.as_bytes());
            message.extend(field(2, details.group.as_bytes()));
            message.extend(field(3, details.kind.as_bytes()));
            message.extend([5 << 3, 0]);
            message.extend(field(6, b""));
            status.extend(field(5, &message));
        }
        status.push(6 << 3);
        varint(self.code.into(), &mut status);

        let type_meta = [field(1, self.api_version.as_bytes()), field(2, self.kind.as_bytes())];
        let mut bytes = b"k8s\0".to_vec();
        bytes.extend(field(1, &type_meta.concat()));
        bytes.extend(field(2, &status));
        bytes.extend([field(3, b""), field(4, b"")].concat());
        bytes
    }
}

/// Returns a length-delimited protobuf field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    varint(value.len() as u64, &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}
