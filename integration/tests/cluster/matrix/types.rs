//! Which of the servers serve which collections, by their own documents.

use std::collections::BTreeMap;

use anyhow::Result;
use harness::site::Site;
use reqwest::Method;
use serde_json::Value;
use wire::client::Http;

use crate::discovery::contents::array;

/// The form that names all resources of a server.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// How many of the servers serve each collection that can be listed, by path.
pub struct Types {
    servers: usize,
    collections: BTreeMap<String, usize>,
}

impl Types {
    /// Asks each server. Fails if one does not answer.
    pub async fn read(site: &Site) -> Result<Self> {
        let servers = site.plane.servers().len();
        let mut collections = BTreeMap::new();
        for server in 0..servers {
            let client = site.direct(server, Http::Two)?;
            for path in ["/api", "/apis"] {
                let request = client.request(Method::GET, path).header("accept", AGGREGATED);
                let document = client.send(request).await?.ok()?.json()?;
                for collection in collections_of(&document) {
                    *collections.entry(collection).or_default() += 1;
                }
            }
        }
        Ok(Self { servers, collections })
    }

    /// Returns the collections that some servers do not serve.
    pub fn skewed(&self) -> impl Iterator<Item = &str> {
        self.of(|servers, all| servers < all)
    }

    /// Returns the collections that all servers serve.
    pub fn common(&self) -> impl Iterator<Item = &str> {
        self.of(|servers, all| servers == all)
    }

    fn of(&self, wanted: impl Fn(usize, usize) -> bool) -> impl Iterator<Item = &str> {
        let found = self.collections.iter();
        let found = found.filter(move |(_, servers)| wanted(**servers, self.servers));
        found.map(|(path, _)| path.as_str())
    }
}

/// Returns the paths of all collections that can be listed.
fn collections_of(document: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    for group in array(document, "items") {
        let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let root = if name.is_empty() { "/api".to_owned() } else { format!("/apis/{name}") };
        for version in array(group, "versions") {
            for resource in array(version, "resources") {
                if array(resource, "verbs").iter().any(|verb| verb == "list") {
                    let text = |of: &Value, field| of.get(field)?.as_str().map(str::to_owned);
                    let (Some(version), Some(resource)) =
                        (text(version, "version"), text(resource, "resource"))
                    else {
                        continue;
                    };
                    paths.push(format!("{root}/{version}/{resource}"));
                }
            }
        }
    }
    paths
}
