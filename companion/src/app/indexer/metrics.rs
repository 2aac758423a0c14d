//! The metrics of what the index knows.

use discovery_map::PeerState;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::PeerStatus;
use crate::metrics::{PeerLabel, Registry, gauge, label_values, register};

/// The metrics of what the index knows; clones share their values.
#[derive(Clone, Debug)]
pub(in crate::app) struct IndexMetrics {
    peer_state: Family<StateLabels, Gauge>,
    peer_types: Family<PeerLabel, Gauge>,
    rotation_frozen: Gauge,
    conflicts: Gauge,
    header_names: Family<HeaderNamesLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    peer: String,
    state: StateLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StateLabel(PeerState);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeaderNamesLabels {
    source: HeaderNamesSource,
}

label_values! {
    /// Where the names of the identity headers come from.
    HeaderNamesSource {
        /// From the cluster.
        ConfigMap = "configmap",
        /// From the companion's configuration alone.
        Configuration = "configuration",
    }
}

impl EncodeLabelValue for StateLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let text = match self.0 {
            PeerState::Serving => "serving",
            PeerState::NotReady => "not_ready",
            PeerState::Unreachable => "unreachable",
        };
        text.encode(encoder)
    }
}

const STATES: [PeerState; 3] = [PeerState::Serving, PeerState::NotReady, PeerState::Unreachable];

impl IndexMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let (peer_state, peer_types) = (Family::default(), Family::default());
        Self {
            peer_state: register(r, "peer_state", "1 for the state of a peer", peer_state),
            peer_types: register(
                r,
                "peer_types",
                "Resources and subresources that a peer is known to serve",
                peer_types,
            ),
            rotation_frozen: register(
                r,
                "rotation_frozen",
                "1 while no peer is ready and the last rotation stays",
                Gauge::default(),
            ),
            conflicts: register(
                r,
                "discovery_conflicts",
                "Resources for which peers report different kinds or scopes",
                Gauge::default(),
            ),
            header_names: register(
                r,
                "identity_header_names",
                "1 for the source of the names of the identity headers",
                Family::default(),
            ),
        }
    }

    /// Drops all peers, since the configured ones may have changed.
    pub fn reset_peers(&self) {
        self.peer_state.clear();
        self.peer_types.clear();
    }

    /// Records what is known of the peers.
    pub fn peers(&self, peers: &[PeerStatus]) {
        for peer in peers {
            for state in STATES {
                let labels = StateLabels { peer: peer.name.clone(), state: StateLabel(state) };
                self.peer_state.get_or_create(&labels).set(i64::from(peer.state == state));
            }
            self.peer_types.get_or_create(&PeerLabel::of(&peer.name)).set(gauge(peer.types));
        }
    }

    /// Records what follows from that. `from_cluster`: the cluster told the names
    /// of the identity headers.
    pub fn snapshot(&self, frozen: bool, conflicts: usize, from_cluster: bool) {
        self.rotation_frozen.set(i64::from(frozen));
        self.conflicts.set(gauge(conflicts));
        for (source, is) in [
            (HeaderNamesSource::ConfigMap, from_cluster),
            (HeaderNamesSource::Configuration, !from_cluster),
        ] {
            self.header_names.get_or_create(&HeaderNamesLabels { source }).set(i64::from(is));
        }
    }
}
