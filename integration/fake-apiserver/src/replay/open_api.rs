//! Documents of OpenAPI v3 that a test prescribes, answered as
//! k8s.io/kube-openapi/pkg/handler3 answers: named by a hash, which is also the
//! `ETag`, in JSON or protobuf.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LOCATION, VARY,
};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::IntoResponse as _;
use ring::digest::{SHA512, digest};
use serde_json::json;

use super::reply::{Answer, accept_of, text};

/// A document of OpenAPI v3.
#[derive(Debug, Clone)]
pub struct OpenApiDocument {
    /// The JSON form.
    pub json: Vec<u8>,
    /// The protobuf form.
    pub protobuf: Vec<u8>,
}

/// Documents by their paths below `/openapi/v3/`.
pub(super) type OpenApiDocuments = BTreeMap<String, OpenApiDocument>;

impl OpenApiDocument {
    /// Returns the document's hash: SHA-512 of the JSON.
    pub fn hash(&self) -> String {
        digest(&SHA512, &self.json).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

/// Answers a request for the index or a document; `None` if it is for something else.
pub(super) fn answer(documents: &OpenApiDocuments, request: &Request<Body>) -> Option<Answer> {
    if documents.is_empty() {
        return None;
    }
    let below = request.uri().path().strip_prefix("/openapi/v3")?;
    if below.is_empty() {
        return Some(index(documents));
    }
    let path = below.strip_prefix('/')?;
    Some(match documents.get(path) {
        Some(document) => group_version(path, document, request),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

fn index(documents: &OpenApiDocuments) -> Answer {
    let url = |path: &str, document: &OpenApiDocument| json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash())});
    let paths: BTreeMap<_, _> =
        documents.iter().map(|(path, document)| (path, url(path, document))).collect();
    text(StatusCode::OK, json!({ "paths": paths }).to_string())
}

fn group_version(path: &str, document: &OpenApiDocument, request: &Request<Body>) -> Answer {
    let accepted = accept_of(request);
    let (content_type, body) = if accepted.contains("proto-openapi.spec.v3") {
        ("application/com.github.proto-openapi.spec.v3.v1.0+protobuf", &document.protobuf)
    } else if accepted.is_empty() || accepted.contains("json") || accepted.contains("*/*") {
        ("application/json", &document.json)
    } else {
        return (StatusCode::NOT_ACCEPTABLE, [(VARY, "Accept")]).into_response();
    };
    let hash = document.hash();
    let etag = format!("\"{hash}\"");
    let query = request.uri().query().unwrap_or_default();
    let asked = query.split('&').find_map(|parameter| parameter.strip_prefix("hash="));
    let headers = [(CONTENT_TYPE, content_type), (VARY, "Accept"), (ETAG, &etag)];
    if asked.is_some_and(|asked| asked != hash) {
        let location = [(LOCATION, format!("/openapi/v3/{path}?hash={hash}"))];
        return (StatusCode::MOVED_PERMANENTLY, headers, location).into_response();
    }
    let caching = match asked {
        Some(_) => (CACHE_CONTROL, "public, immutable"),
        None => (CACHE_CONTROL, "no-cache, private"),
    };
    let known = request.headers().get(IF_NONE_MATCH).map(HeaderValue::as_bytes);
    if known == Some(etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, headers, [caching]).into_response();
    }
    let mut answer = (headers, [caching], body.clone()).into_response();
    if asked.is_some() {
        let expires = HeaderValue::from_static("Fri, 26 Nov 2027 17:26:16 UTC");
        answer.headers_mut().insert(EXPIRES, expires);
    }
    answer
}
