//! OpenAPI v3: which documents a peer has, and one document made of several peers'.
//!
//! ```text
//!  bytes of /openapi/v3 ─▶ OpenApiIndex (which documents, each with its hash)
//!  JSON of a document ──▶ Outline ─┐
//!  JSON of another ─────▶ Outline ─┴─▶ Additions ─┬─ merge_json ─────▶ JSON
//!                       (by names, once)          └─ merge_protobuf ─▶ protobuf
//! ```
//!
//! What goes into a merged document is decided once, by names, so that the two forms say the same.

mod json;
mod outline;
mod protobuf;

use std::collections::BTreeMap;
use std::fmt;
use std::iter::once;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use crate::limits::{MAX_OPEN_API, fields};
use crate::packing::{etag, gzip};

pub use outline::{Additions, Outline};

/// A peer's `/openapi/v3`: path below it → URL of the document, with the
/// document's hash in the query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OpenApiIndex(pub BTreeMap<Box<str>, Box<str>>);

/// A document that is made of those of several peers. Documents are known by their hashes, which
/// are also their `ETag`s: SHA-512 of the JSON (k8s.io/kube-openapi/pkg/handler3, `computeETag`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedOpenApi {
    /// The path below `/openapi/v3/`.
    pub path: Box<str>,
    /// The hashes of the peers' documents, in the order of the peers' rank.
    pub hashes: Vec<Box<str>>,
    /// The document in both forms; `None` if the first of the peers' documents has all that the
    /// others have.
    pub content: Option<MergedOpenApiContent>,
}

/// The two forms of a merged document of OpenAPI. They have one `ETag`, as kube-apiserver's have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedOpenApiContent {
    /// SHA-512 of the JSON in upper-case hexadecimal.
    pub etag: Arc<str>,
    /// The JSON.
    pub json: PackedForm,
    /// The protobuf (gnostic's `openapi.v3.Document`).
    pub protobuf: PackedForm,
}

/// One form of a document, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedForm {
    /// The size in bytes before it was packed.
    pub size: usize,
    /// gzip in base64.
    pub gzip: Arc<str>,
}

/// Why a document of OpenAPI cannot be merged. Reading it again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OpenAPI document in {form}: {problem}")]
pub struct OpenApiError {
    form: &'static str,
    problem: String,
}

impl<'de> Deserialize<'de> for OpenApiIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Index {
            #[serde(deserialize_with = "fields::<_, _, MAX_OPEN_API>")]
            paths: Vec<(Box<str>, Entry)>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            #[serde(rename = "serverRelativeURL")]
            url: Box<str>,
        }

        let Index { paths } = Index::deserialize(deserializer)?;
        // A key that is not a path would make the whole map invalid.
        let valid = |path: &str| !path.is_empty() && !path.starts_with('/') && !path.ends_with('/');
        let paths = paths.into_iter().filter(|(path, _)| valid(path));
        Ok(Self(paths.map(|(path, entry)| (path, entry.url)).collect()))
    }
}

impl OpenApiIndex {
    /// Returns the size of the texts in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|(path, url)| path.len() + url.len()).sum()
    }

    /// Returns the hash of the document at `path`, if the index has one that can be an `ETag`.
    #[must_use]
    pub fn hash(&self, path: &str) -> Option<&str> {
        let (_, hash) = self.0.get(path)?.split_once("?hash=")?;
        let valid = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
        valid.then_some(hash)
    }

    /// Returns what all peers offer. The peers are in the order of their rank.
    pub(crate) fn merge(peers: &[&Self]) -> Self {
        let mut merged = BTreeMap::new();
        for (path, url) in peers.iter().flat_map(|peer| &peer.0) {
            merged.entry(path.clone()).or_insert_with(|| url.clone());
        }
        Self(merged)
    }

    /// Returns the index as kube-apiserver writes it, without a line feed.
    pub(crate) fn render(&self) -> String {
        use serde_json::json;

        let paths: BTreeMap<_, _> =
            self.0.iter().map(|(path, url)| (path, json!({"serverRelativeURL": url}))).collect();
        json!({ "paths": paths }).to_string()
    }
}

impl MergedOpenApiContent {
    /// Packs a document whose two forms say the same.
    #[must_use]
    pub fn pack(json: &[u8], protobuf: &[u8]) -> Self {
        Self { etag: etag(once(json)).into(), json: packed(json), protobuf: packed(protobuf) }
    }
}

fn packed(bytes: &[u8]) -> PackedForm {
    PackedForm { size: bytes.len(), gzip: gzip(once(bytes)).into() }
}

impl OpenApiError {
    fn new(form: &'static str, problem: impl fmt::Display) -> Self {
        Self { form, problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests;
