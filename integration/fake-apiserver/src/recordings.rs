//! The answers of real kube-apiservers, byte for byte, in
//! `integration/recordings/<version>/`.
//!
//! `index.json` lists the exchanges; each names the file that holds its body.
//! Headers that differ with every answer, and those of HTTP's own framing, are
//! left out. `make recordings` makes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Version;

/// The aggregated form of discovery that current clients ask for.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The name of the list of exchanges.
pub const INDEX: &str = "index.json";

/// The folder of the discovery documents in their ordinary form.
pub const DOCUMENTS: &str = "documents";

/// The folder of the aggregated ones.
pub const AGGREGATES: &str = "aggregated";

/// One request and what came back, its body apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path as it was sent, with its query.
    pub path: String,
    /// The `Accept` header, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The file of its body, relative to the recording's folder; none when the
    /// body was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<PathBuf>,
}

/// An exchange with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The exchange.
    pub exchange: Exchange,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Recorded {
    /// Returns whether this is a document of the server's own, rather than a sample of
    /// how it answers, which may have been taken with custom resources there.
    pub fn is_document(&self) -> bool {
        self.exchange.body.as_deref().is_some_and(|body| body.starts_with(DOCUMENTS))
    }
}

/// Everything recorded of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The server's version, such as `v1.36.3`.
    pub version: String,
    /// Its answers.
    pub exchanges: Vec<Recorded>,
}

impl Recording {
    /// Returns the recording of the newest patch release of `version`. Fails if
    /// there is none, or it cannot be read.
    pub fn of(version: Version) -> Result<Self> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../recordings"));
        let prefix = format!("v{version}.");
        let patch =
            |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok();
        let found = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| patch(path).is_some())
            .max_by_key(patch);
        Self::load(
            &found.with_context(|| format!("{version} is not recorded: run `make recordings`"))?,
        )
    }

    /// Returns the answers of a server that serves no type at all.
    pub fn empty(version: &str) -> Self {
        let exchange = |path: &str, accept: Option<&str>, body: Value| Recorded {
            exchange: Exchange {
                method: "GET".to_owned(),
                path: path.to_owned(),
                accept: accept.map(str::to_owned),
                status: 200,
                headers: BTreeMap::from([("etag".to_owned(), "\"0\"".to_owned())]),
                body: Some(Path::new(DOCUMENTS).join("empty.json")),
            },
            body: body.to_string().into_bytes(),
        };
        let list = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {}, "items": [],
        });
        let exchanges = vec![
            exchange("/api", Some(AGGREGATED), list.clone()),
            exchange("/apis", Some(AGGREGATED), list),
            exchange("/api", None, json!({ "kind": "APIVersions", "versions": ["v1"] })),
            exchange("/apis", None, json!({ "kind": "APIGroupList", "groups": [] })),
            exchange("/version", None, json!({ "gitVersion": version })),
        ];
        Self { version: version.to_owned(), exchanges }
    }

    /// Returns the recording in `folder`, which is named after the version.
    /// Fails if it cannot be read.
    pub fn load(folder: &Path) -> Result<Self> {
        let name = folder.file_name().and_then(|name| name.to_str());
        let version = name.context("the folder has no name")?.to_owned();
        let read = |file: &Path| {
            let path = folder.join(file);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let index: Vec<Exchange> = serde_json::from_slice(&read(Path::new(INDEX))?)
            .with_context(|| format!("{INDEX} of {version}"))?;
        let exchanges = index.into_iter().map(|exchange| {
            let body = exchange.body.as_deref().map_or(Ok(Vec::new()), read)?;
            Ok(Recorded { exchange, body })
        });
        Ok(Self { version, exchanges: exchanges.collect::<Result<_>>()? })
    }

    /// Returns the answer to a GET of `path` with this `Accept`.
    pub fn get(&self, path: &str, accept: Option<&str>) -> Option<&Recorded> {
        self.exchanges.iter().find(|recorded| {
            let exchange = &recorded.exchange;
            exchange.method == "GET"
                && exchange.path == path
                && exchange.accept.as_deref() == accept
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AGGREGATED;
    use super::Recording;
    use crate::Version;

    #[test]
    fn all_versions_are_recorded_with_all_forms_of_discovery() {
        for &version in Version::ALL {
            let recording = Recording::of(version).unwrap();
            for path in ["/api", "/apis"] {
                assert!(recording.get(path, None).is_some(), "{version} {path}");
                let aggregated = recording.get(path, Some(AGGREGATED)).unwrap();
                assert!(aggregated.exchange.headers.contains_key("etag"));
            }
            for path in ["/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v3"] {
                assert!(!recording.get(path, None).unwrap().body.is_empty(), "{version} {path}");
            }
        }
    }
}
