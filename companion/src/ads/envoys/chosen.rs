//! Which control planes an Envoy gets, if these are not all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::ads::selection::Selection;
use crate::ads::snapshot::Snapshot;

/// What an Envoy asks for, and what it gets of that.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub asked: Selection,
    /// What its certificate may have.
    pub granted: Selection,
    /// What it must have now.
    pub latest: watch::Receiver<Arc<Snapshot>>,
}

/// The same as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChosenView {
    /// Those that it gets.
    control_planes: Vec<String>,
    /// Those that it asks for, or may have, and does not get, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    control_planes_not_served: BTreeMap<String, &'static str>,
    /// The versions that this Envoy must have, by type.
    expected_versions: BTreeMap<&'static str, String>,
}

impl ChosenView {
    /// Returns whether the Envoy gets this control plane.
    pub fn has(&self, name: &str) -> bool {
        self.control_planes.iter().any(|has| has == name)
    }

    /// Returns the versions that the Envoy must have, by type.
    pub fn expected(&self) -> &BTreeMap<&'static str, String> {
        &self.expected_versions
    }
}

impl Chosen {
    /// Returns what is shown.
    pub fn view(&self) -> ChosenView {
        let latest = Arc::clone(&self.latest.borrow());
        let wanted = if self.asked == Selection::All { &self.granted } else { &self.asked };
        let not_served = wanted.names().filter(|name| !latest.parts.contains_key(name.as_str()));
        let reason = |name: &str| match (self.granted.has(name), latest.awaited.contains(name)) {
            (false, _) => "its certificate may not have it",
            (true, true) => "it has no map yet",
            (true, false) => "it does not exist",
        };
        ChosenView {
            control_planes: latest.parts.keys().cloned().collect(),
            control_planes_not_served: not_served
                .map(|name| (name.to_string(), reason(name.as_str())))
                .collect(),
            expected_versions: latest.versions(),
        }
    }
}
