//! The metrics of what the index knows.

use api_discovery::MinorVersion;
use discovery_map::{Mode, PeerState};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::PeerStatus;
use crate::metrics::{Label, Registry, add, gauge, of_peer, state_label};

#[derive(Clone, Debug)]
pub(in crate::app) struct IndexMetrics {
    peer_state: Family<(Label<String>, Label), Gauge>,
    peer_types: Family<Label<String>, Gauge>,
    rotation_frozen: Gauge,
    conflicts: Gauge,
    header_names: Family<Label, Gauge>,
    mode: Family<Label, Gauge>,
    answering_version: Family<Label<String>, Gauge>,
    version_switches: Counter,
}

impl IndexMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let types = "Resources and subresources that a peer is known to serve";
        let frozen = "1 while no peer is ready and the last rotation stays";
        let conflicts = "Resources for which peers report different kinds or scopes";
        let mode = "1 for the mode in the configuration";
        let answering = "1 for the answering version";
        let switches = "Changes of the answering version";
        let names = "1 if the names of the identity headers come from this source";
        Self {
            peer_state: add(r, "peer_state", "1 if the peer is in this state"),
            peer_types: add(r, "peer_types", types),
            rotation_frozen: add(r, "rotation_frozen", frozen),
            conflicts: add(r, "discovery_conflicts", conflicts),
            header_names: add(r, "identity_header_names", names),
            mode: add(r, "mode", mode),
            answering_version: add(r, "answering_version", answering),
            version_switches: add(r, "version_switches", switches),
        }
    }

    /// Drops all peers, since others are there now.
    pub fn reset_peers(&self) {
        self.peer_state.clear();
        self.peer_types.clear();
    }

    pub fn peers(&self, peers: &[PeerStatus]) {
        for peer in peers {
            for state in [PeerState::Serving, PeerState::NotReady, PeerState::Unreachable] {
                let labels = (of_peer(&peer.name), [("state", state_label(state))]);
                self.peer_state.get_or_create(&labels).set(i64::from(peer.state == state));
            }
            self.peer_types.get_or_create(&of_peer(&peer.name)).set(gauge(peer.types));
        }
    }

    /// Shows the mode.
    pub fn mode(&self, own: Mode) {
        for mode in Mode::ALL {
            let shown = i64::from(mode == own);
            self.mode.get_or_create(&[("mode", mode.as_str())]).set(shown);
        }
    }

    /// Records a change of the answering version; `None` if all versions answer. The first decision
    /// after a start does not count as a switch.
    pub fn answering(&self, from: Option<MinorVersion>, to: Option<MinorVersion>) {
        self.answering_version.clear();
        if let Some(to) = to {
            self.answering_version.get_or_create(&[("version", to.to_string())]).set(1);
        }
        if from.is_some() && to.is_some() {
            self.version_switches.inc();
        }
    }

    /// Records what follows from that. `from_config_map`: a ConfigMap has the names
    /// of the identity headers.
    pub fn snapshot(&self, frozen: bool, conflicts: usize, from_config_map: bool) {
        self.rotation_frozen.set(i64::from(frozen));
        self.conflicts.set(gauge(conflicts));
        for (source, is) in [("configmap", from_config_map), ("configuration", !from_config_map)] {
            self.header_names.get_or_create(&[("source", source)]).set(i64::from(is));
        }
    }
}
