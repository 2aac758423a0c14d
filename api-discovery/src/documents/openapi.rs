//! The index of OpenAPI v3: which documents there are, and who answers each.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A peer's `/openapi/v3`: path below it → where the document is. The query of
/// that has the hash of the document.
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
        let paths = index.paths.ok_or_else(|| D::Error::custom("it has no paths"))?;
        // What no path could be would make the whole map invalid.
        let sound = |path: &str| !path.is_empty() && !path.starts_with('/') && !path.ends_with('/');
        let paths = paths.into_iter().filter(|(path, _)| sound(path));
        Ok(Self(paths.map(|(path, entry)| (path, entry.url)).collect()))
    }
}

impl OpenApiIndex {
    /// How much memory the texts take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|(path, url)| path.len() + url.len()).sum()
    }

    pub(super) fn render(&self) -> String {
        use serde_json::json;

        let paths: BTreeMap<_, _> =
            self.0.iter().map(|(path, url)| (path, json!({"serverRelativeURL": url}))).collect();
        // kube-apiserver writes no line feed here.
        json!({ "paths": paths }).to_string()
    }
}

/// What all peers offer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MergedOpenApi {
    pub index: OpenApiIndex,
    /// path → positions in the list of peers that answer it, where that is not
    /// every peer.
    pub answered_by: BTreeMap<Box<str>, Vec<usize>>,
}

/// Merges; the peer whose word counts most is first.
pub(super) fn merge(peers: &[&OpenApiIndex]) -> MergedOpenApi {
    let mut merged = MergedOpenApi::default();
    for peer in peers {
        for (path, url) in &peer.0 {
            merged.index.0.entry(path.clone()).or_insert_with(|| url.clone());
        }
    }
    for (path, url) in &merged.index.0 {
        let same = |peer: &OpenApiIndex| peer.0.get(path) == Some(url);
        let positions = peers.iter().enumerate().filter(|(_, peer)| same(peer));
        let positions: Vec<_> = positions.map(|(position, _)| position).collect();
        if positions.len() != peers.len() {
            merged.answered_by.insert(path.clone(), positions);
        }
    }
    merged
}
