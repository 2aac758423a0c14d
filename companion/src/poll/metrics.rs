//! The metrics of polling.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::config::PeerName;
use crate::facts::Observation;
use crate::metrics::{Label, Registry, add, add_with_unit, durations, of_peer};

#[derive(Clone, Debug)]
pub struct PollMetrics {
    polls: Family<(Label<String>, Label), Counter>,
    duration: Family<Label<String>, Histogram, fn() -> Histogram>,
    failures: Family<Label<String>, Counter>,
    changes: Family<Label<String>, Counter>,
}

/// How a round at a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    Serving,
    NotReady,
    Unreachable,
    /// The round does not tell.
    Inconclusive,
}

impl PollOutcome {
    const ALL: [Self; 4] = [Self::Serving, Self::NotReady, Self::Unreachable, Self::Inconclusive];

    fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotReady => "not_ready",
            Self::Unreachable => "unreachable",
            Self::Inconclusive => "inconclusive",
        }
    }

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
    pub fn new(r: &mut Registry) -> Self {
        let duration = Family::new_with_constructor(durations as fn() -> Histogram);
        let duration_name = ("poll_duration", Unit::Seconds);
        Self {
            polls: add(r, "polls", "Rounds at a peer, by outcome"),
            duration: add_with_unit(r, duration_name, "Duration of a round at a peer", duration),
            failures: add(r, "discovery_failures", "Failed reads of a peer's discovery documents"),
            changes: add(r, "discovery_changes", "Rounds in which a peer's discovery changed"),
        }
    }

    pub fn polled(&self, peer: &PeerName, outcome: PollOutcome, duration: Duration) {
        self.duration.get_or_create(&of_peer(peer)).observe(duration.as_secs_f64());
        self.polls.get_or_create(&(of_peer(peer), [("outcome", outcome.as_str())])).inc();
    }

    /// Records that a discovery document of a peer could not be read.
    pub fn discovery_failed(&self, peer: &PeerName) {
        self.failures.get_or_create(&of_peer(peer)).inc();
    }

    /// Records that a peer's discovery changed.
    pub fn discovery_changed(&self, peer: &PeerName) {
        self.changes.get_or_create(&of_peer(peer)).inc();
    }

    /// Drops what was recorded of a peer that is no longer polled.
    pub fn forget_peer(&self, peer: &PeerName) {
        for outcome in PollOutcome::ALL {
            self.polls.remove(&(of_peer(peer), [("outcome", outcome.as_str())]));
        }
        self.duration.remove(&of_peer(peer));
        self.failures.remove(&of_peer(peer));
        self.changes.remove(&of_peer(peer));
    }
}
