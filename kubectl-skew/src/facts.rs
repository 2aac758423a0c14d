//! What is known of a control plane: the map that Envoys have, and the state of each peer.

use std::collections::BTreeMap;

use api_discovery::MinorVersion;
use discovery_map::{DiscoveryMap, Faults, MapDocument, PeerState};
use serde::{Deserialize, Serialize};

/// What `/v1/map` of a companion shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    pushed_at_unix_seconds: u64,
    map: MapDocument,
}

/// What `/v1/peers` of a companion shows of one. Fields of later companions are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    pub name: String,
    pub address: String,
    pub state: PeerState,
    /// Whether its source does not have it any more.
    pub left: bool,
    /// Whether it has been out of rotation for so long that its types no longer count.
    pub forgotten: bool,
    /// The version of its binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The minor version whose API it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_version: Option<MinorVersion>,
    pub answering: bool,
    pub discovery_known: bool,
    pub types: usize,
    /// The age of what is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer_seconds_ago: Option<u64>,
    pub absent_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Peer {
    /// Returns whether it is ready to get requests.
    pub fn is_in_rotation(&self) -> bool {
        self.state == PeerState::Serving && !self.left
    }

    /// Returns whether the control plane still has it, in rotation or not.
    pub fn is_present(&self) -> bool {
        !self.left && !self.forgotten
    }
}

/// What `/v1/envoys` of a companion shows.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Envoys {
    /// The versions that an Envoy of all control planes must have, by type. Empty without ADS.
    pub versions: BTreeMap<String, String>,
    pub envoys: Vec<Envoy>,
}

impl Envoys {
    /// Returns whether the companion serves no Envoy over ADS.
    pub fn is_without_ads(&self) -> bool {
        self.versions.is_empty() && self.envoys.is_empty()
    }
}

/// An Envoy that is served over ADS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envoy {
    #[serde(default)]
    pub mirror: bool,
    /// The version of Envoy, such as `1.40.0`.
    pub envoy_version: Option<String>,
    pub node: String,
    /// The versions that this one must have, if it does not get all control planes.
    pub expected_versions: Option<BTreeMap<String, String>>,
    /// What it has acknowledged, by type.
    pub versions: BTreeMap<String, String>,
    pub last_refusal: Option<Refusal>,
}

/// What an Envoy refused last.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub r#type: String,
    pub reason: String,
    pub seconds_ago: u64,
}

/// What is known of a control plane.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When the map was pushed, in seconds since 1970; `None` if it was made for this program.
    pub pushed_at: Option<u64>,
    /// The map as it travels, which can be listed.
    pub document: MapDocument,
    /// The same map as the filter has it.
    pub map: DiscoveryMap,
    pub peers: Vec<Peer>,
}

impl Facts {
    /// Puts together what a companion shows.
    ///
    /// # Errors
    /// The map is not valid; all faults.
    pub fn new(published: Published, peers: Vec<Peer>) -> Result<Self, Faults> {
        let Published { pushed_at_unix_seconds, map: document } = published;
        let map = document.clone().try_into()?;
        Ok(Self { pushed_at: Some(pushed_at_unix_seconds), document, map, peers })
    }

    /// Puts together what this program read of the API servers.
    ///
    /// # Errors
    /// The map is not valid; all faults.
    pub fn read_by_itself(document: MapDocument, peers: Vec<Peer>) -> Result<Self, Faults> {
        let map = document.clone().try_into()?;
        Ok(Self { pushed_at: None, document, map, peers })
    }

    /// Returns the versions that answer for what every peer in rotation serves.
    pub fn answering_versions(&self) -> Vec<MinorVersion> {
        let answering = self.peers.iter().filter(|peer| peer.answering);
        let mut versions: Vec<_> = answering.filter_map(|peer| peer.minor_version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::{Facts, Peer};

    /// Returns a control plane of an older and a newer peer, and one that cannot be reached.
    pub fn facts() -> Facts {
        let map = include_str!("../../discovery-map/golden/map.json");
        let published = json!({
            "generation": 42,
            "pushedAtUnixSeconds": 1_000,
            "map": serde_json::from_str::<Value>(map).unwrap(),
        });
        let peers = json!([
            peer("cp-1", "serving", "1.35", true),
            peer("cp-2", "serving", "1.36", false),
            peer("cp-3", "unreachable", "1.34", false),
        ]);
        let peers: Vec<Peer> = serde_json::from_value(peers).unwrap();
        Facts::new(serde_json::from_value(published).unwrap(), peers).unwrap()
    }

    fn peer(name: &str, state: &str, minor: &str, answering: bool) -> Value {
        let away = state != "serving";
        json!({
            "name": name, "address": "10.0.0.1:6443", "state": state, "left": false,
            "forgotten": false, "version": format!("v{minor}.1"), "minorVersion": minor,
            "answering": answering, "discoveryKnown": true, "types": 14,
            "lastAnswerSecondsAgo": if away { 200 } else { 1 },
            "absentSeconds": if away { 200 } else { 0 },
            "lastError": away.then_some("connection refused"), "fieldOfALaterCompanion": true,
        })
    }

    #[test]
    fn the_answering_version_is_that_of_the_peers_that_answer() {
        let versions = facts().answering_versions();
        assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1.35"]);
    }
}
