//! What a peer serves: the types of its recording, without those that a test
//! took away, and with custom resources.
//!
//! As long as nothing is changed, documents are the recorded bytes with their
//! recorded ETag; otherwise they are made from the recorded ones.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use serde_json::json;

use super::documents::{self, Changes};
use super::json::to_body;
use super::types::Types;
use crate::recordings::{Recorded, Recording};

/// The types and documents that a peer serves now.
#[derive(Debug, Clone)]
pub(super) struct View {
    recording: Arc<Recording>,
    changes: Changes,
    types: Types,
    /// The changed aggregated documents, once one was asked for: they can be
    /// megabytes.
    api: OnceLock<Option<(String, Vec<u8>)>>,
    apis: OnceLock<Option<(String, Vec<u8>)>>,
}

impl View {
    /// Returns what a peer of `recording` serves with these changes. Fails if
    /// the recording has no aggregated documents.
    pub(super) fn new(recording: Arc<Recording>, changes: Changes) -> Result<Self> {
        let mut types = Types::default();
        for path in ["/api", "/apis"] {
            types.add_all(&serde_json::from_slice(&aggregated(&recording, path)?.body)?);
        }
        types.retain(|group, version, name| !changes.drops(group, version, name));
        for crd in &changes.crds {
            for version in &crd.versions {
                types.add(&crd.group, &version.name, &crd.plural, crd.resource(version));
            }
        }
        let (api, apis) = (OnceLock::new(), OnceLock::new());
        Ok(Self { recording, changes, types, api, apis })
    }

    /// Returns the version of the recorded server, such as `v1.36.3`.
    pub(super) fn version(&self) -> &str {
        &self.recording.version
    }

    /// Returns whether the server looks for endpoints of a Service to proxy to
    /// without looking for the Service: Kubernetes does since 1.37.
    pub(super) fn proxies_by_endpoint_slices(&self) -> bool {
        let mut numbers = self.version().trim_start_matches('v').split('.');
        let mut number = || numbers.next()?.parse::<u32>().ok();
        (number(), number()) >= (Some(1), Some(37))
    }

    /// Returns the types that it serves.
    pub(super) fn types(&self) -> &Types {
        &self.types
    }

    /// Returns whether the group is one of custom resources.
    pub(super) fn is_custom(&self, group: &str) -> bool {
        self.changes.crds.iter().any(|crd| crd.group == group)
    }

    /// Returns the recorded document at `path`, in its ordinary form.
    pub(super) fn recorded(&self, path: &str) -> Option<&Recorded> {
        self.recording.get(path, None).filter(|recorded| recorded.is_document())
    }

    /// Returns the aggregated document of `/api` or `/apis`: ETag and body.
    pub(super) fn aggregated(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let recorded = aggregated(&self.recording, path).ok()?;
        if self.changes == Changes::default() {
            let etag = recorded.exchange.headers.get("etag")?.clone();
            return Some((etag, recorded.body.clone()));
        }
        let made = if path == "/api" { &self.api } else { &self.apis };
        let make = || {
            let mut document = serde_json::from_slice(&recorded.body).ok()?;
            documents::change_aggregated(&mut document, path, &self.changes);
            let body = to_body(&document);
            Some((documents::etag(&body), body))
        };
        made.get_or_init(make).clone()
    }

    /// Returns the document of `/apis`, of a group, or of a version, in its older form.
    pub(super) fn legacy(&self, path: &str) -> Option<Vec<u8>> {
        let recorded = self.recorded(path);
        if self.changes == Changes::default() {
            return recorded.map(|recorded| recorded.body.clone());
        }
        let mut document = match recorded {
            Some(recorded) => serde_json::from_slice(&recorded.body).ok()?,
            None => json!({}),
        };
        let kept = match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
            ["api"] => true,
            ["apis"] => documents::change_group_list(&mut document, &self.changes, &self.types),
            ["apis", group] => {
                documents::change_group(&mut document, group, &self.changes, &self.types)
            }
            ["api", version] => {
                documents::change_version(&mut document, "", version, &self.changes)
            }
            ["apis", group, version] => {
                documents::change_version(&mut document, group, version, &self.changes)
            }
            _ => false,
        };
        kept.then(|| to_body(&document))
    }
}

fn aggregated<'a>(recording: &'a Recording, path: &str) -> Result<&'a Recorded> {
    let recorded = recording.get(path, Some(crate::recordings::AGGREGATED));
    recorded.with_context(|| format!("{} has no aggregated {path}", recording.version))
}
