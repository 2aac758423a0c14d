//! From a document to a map: everything is checked, every fault is reported.
//!
//! ```text
//!  from_json ── MapDocument ── try_from ──┬── check:  faults, each with its place
//!                                         ├── types:  groups, versions, resources
//!                                         ├── verbs:  which peers have a verb
//!                                         └── merged: merged documents, OpenAPI
//! ```

mod check;
mod merged;
mod types;
mod verbs;

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::fault::Faults;
use crate::header::ROTATION_SUFFIX;
use crate::map::DiscoveryMap;
use crate::map_document::{MapDocument, SCHEMA_VERSION};
use crate::skew;
use check::Check;

impl DiscoveryMap {
    /// Reads and validates what the companion pushed.
    ///
    /// # Errors
    /// All faults of the document, each with its place; a JSON error is one
    /// fault with its line and column.
    pub fn from_json(json: &[u8]) -> Result<Self, Faults> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            schema_version: u32,
        }

        // A document of another schema version is refused by that name, and not for
        // the unknown fields that it may well have.
        let envelope: Envelope = from_slice(json)?;
        check_version(envelope.schema_version)?;
        from_slice::<MapDocument>(json)?.try_into()
    }
}

impl TryFrom<MapDocument> for DiscoveryMap {
    type Error = Faults;

    /// Checks the document as a whole and lays it out for look-ups.
    fn try_from(document: MapDocument) -> Result<Self, Faults> {
        check_version(document.schema_version)?;
        let mut check = Check::new(document.sets.len());
        if document.generation == 0 {
            check.fault("generation", "must be 1 or more");
        }
        check.peers(&document.peers);
        check.rotation(&document.rotation);
        check.cluster("defaultCluster", &document.default_cluster);
        check.identity(&document.identity);
        check.sets(&document.sets, document.peers.len());
        check.set_index("widestView", document.widest_view);

        let mut groups: Box<[_]> = document
            .groups
            .into_iter()
            .map(|(name, versions)| check.group(name, versions, &document.sets))
            .collect();
        let verbs = check.verbs(document.verbs, &mut groups, &document.sets);
        let documents = check.documents(document.documents);
        check.open_api(&document.open_api);
        check.into_result()?;
        let rotation_cluster = format!("{}{ROTATION_SUFFIX}", document.default_cluster);
        let cluster = &document.default_cluster;
        let default = document.sets.iter().find(|set| set.cluster.as_ref() == Some(cluster));
        let rotation_at_least =
            default.map(|set| skew::in_rotation(set, cluster, &rotation_cluster));
        Ok(Self {
            generation: document.generation,
            complete: document.complete,
            mode: document.mode,
            decision_header_groups: document.decision_header_groups,
            rotation_cluster,
            rotation_at_least: rotation_at_least.unwrap_or_default(),
            default_cluster: document.default_cluster,
            identity: document.identity,
            peers: document.peers,
            rotation: document.rotation,
            just_left: document.just_left,
            sets: document.sets,
            widest_view: document.widest_view,
            groups,
            verbs,
            documents,
            open_api: document.open_api,
        })
    }
}

fn from_slice<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Faults> {
    serde_json::from_slice(json).map_err(|error| Faults::one("document", error.to_string()))
}

fn check_version(found: u32) -> Result<(), Faults> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let supported = format!("this build reads version {SCHEMA_VERSION}");
    Err(Faults::one("schemaVersion", format!("version {found} is not supported; {supported}")))
}
