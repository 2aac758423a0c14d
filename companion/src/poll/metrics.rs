//! The metrics of polling.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::config::PeerName;
use crate::facts::Observation;
use crate::metrics::{PeerLabel, Registry, durations, label_values, register, register_in};

/// The metrics of polling; clones share their values.
#[derive(Clone, Debug)]
pub struct PollMetrics {
    polls: Family<PollLabels, Counter>,
    duration: Family<PeerLabel, Histogram, fn() -> Histogram>,
    failures: Family<PeerLabel, Counter>,
    changes: Family<PeerLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    peer: String,
    outcome: PollOutcome,
}

label_values! {
    /// How a round at a peer ended.
    PollOutcome {
        /// The peer is ready.
        Serving = "serving",
        /// The peer answers, but not that it is ready.
        NotReady = "not_ready",
        /// The peer cannot be reached.
        Unreachable = "unreachable",
        /// The round does not tell.
        Inconclusive = "inconclusive",
    }
}

impl PollOutcome {
    const ALL: [Self; 4] = [Self::Serving, Self::NotReady, Self::Unreachable, Self::Inconclusive];

    /// Returns the outcome of an observation.
    #[must_use]
    pub fn of(observation: &Observation) -> Self {
        match observation {
            Observation::Serving { .. } | Observation::Discovered { .. } => Self::Serving,
            Observation::NotReady { .. } => Self::NotReady,
            Observation::Unreachable { .. } => Self::Unreachable,
            Observation::Inconclusive { .. } => Self::Inconclusive,
        }
    }
}

impl PollMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let duration = Family::new_with_constructor(durations as fn() -> Histogram);
        let (failures, changes) = (Family::default(), Family::default());
        Self {
            polls: register(r, "polls", "Rounds at a peer, by outcome", Family::default()),
            duration: register_in(
                r,
                Unit::Seconds,
                "poll_duration",
                "Duration of a round at a peer",
                duration,
            ),
            failures: register(
                r,
                "discovery_failures",
                "Discovery documents of a peer that could not be read",
                failures,
            ),
            changes: register(
                r,
                "discovery_changes",
                "Rounds in which a peer's discovery changed",
                changes,
            ),
        }
    }

    /// Records the end of a round at a peer.
    pub fn polled(&self, peer: &PeerName, outcome: PollOutcome, duration: Duration) {
        let label = PeerLabel::of(peer);
        self.duration.get_or_create(&label).observe(duration.as_secs_f64());
        self.polls.get_or_create(&PollLabels { peer: label.peer, outcome }).inc();
    }

    /// Records that a discovery document of a peer could not be read.
    pub fn discovery_failed(&self, peer: &PeerName) {
        self.failures.get_or_create(&PeerLabel::of(peer)).inc();
    }

    /// Records that a peer's discovery changed.
    pub fn discovery_changed(&self, peer: &PeerName) {
        self.changes.get_or_create(&PeerLabel::of(peer)).inc();
    }

    /// Drops what was recorded of a peer that is no longer polled.
    pub fn forget_peer(&self, peer: &PeerName) {
        let label = PeerLabel::of(peer);
        for outcome in PollOutcome::ALL {
            self.polls.remove(&PollLabels { peer: label.peer.clone(), outcome });
        }
        self.duration.remove(&label);
        self.failures.remove(&label);
        self.changes.remove(&label);
    }
}
