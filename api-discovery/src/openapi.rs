//! The index of OpenAPI v3: which documents there are, and where.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A peer's `/openapi/v3`: path below it → URL of the document, with the
/// document's hash in the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenApiIndex(pub BTreeMap<Box<str>, Box<str>>);

impl<'de> Deserialize<'de> for OpenApiIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Index {
            paths: Option<BTreeMap<Box<str>, Entry>>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            #[serde(rename = "serverRelativeURL")]
            url: Box<str>,
        }

        let index = Index::deserialize(deserializer)?;
        let paths = index.paths.ok_or_else(|| D::Error::missing_field("paths"))?;
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

    /// Returns what all peers offer; the peer whose word counts most is first.
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
