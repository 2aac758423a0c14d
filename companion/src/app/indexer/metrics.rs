//! The metrics of what the index knows.

use discovery_map::PeerState;
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
}

impl IndexMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let types = "Resources and subresources that a peer is known to serve";
        let frozen = "1 while no peer is ready and the last rotation stays";
        let conflicts = "Resources for which peers report different kinds or scopes";
        let names = "1 if the names of the identity headers come from this source";
        Self {
            peer_state: add(r, "peer_state", "1 if the peer is in this state"),
            peer_types: add(r, "peer_types", types),
            rotation_frozen: add(r, "rotation_frozen", frozen),
            conflicts: add(r, "discovery_conflicts", conflicts),
            header_names: add(r, "identity_header_names", names),
        }
    }

    /// Drops all peers, since the configured ones may have changed.
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
