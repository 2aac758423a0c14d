//! The metrics of polling.

use std::time::Duration;

use discovery_map::PeerState;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::config::PeerName;
use crate::metrics::{Label, Registry, add, add_with_unit, durations, of_peer, state_label};

#[derive(Clone, Debug)]
pub struct PollMetrics {
    polls: Family<(Label<String>, Label), Counter>,
    duration: Family<Label<String>, Histogram, fn() -> Histogram>,
    failures: Family<Label<String>, Counter>,
    changes: Family<Label<String>, Counter>,
}

/// How a round can end: in a state of the peer, or without one.
const OUTCOMES: [Option<PeerState>; 4] =
    [Some(PeerState::Serving), Some(PeerState::NotReady), Some(PeerState::Unreachable), None];

fn outcome_label(outcome: Option<PeerState>) -> Label {
    [("outcome", outcome.map_or("inconclusive", state_label))]
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

    /// Records the end of a round. Without `outcome`, the peer's state stays.
    pub fn polled(&self, peer: &PeerName, outcome: Option<PeerState>, duration: Duration) {
        self.duration.get_or_create(&of_peer(peer)).observe(duration.as_secs_f64());
        // Counters of a peer are exposed from its first round on, so that their first event shows.
        for outcome in OUTCOMES {
            drop(self.polls.get_or_create(&(of_peer(peer), outcome_label(outcome))));
        }
        drop(self.failures.get_or_create(&of_peer(peer)));
        drop(self.changes.get_or_create(&of_peer(peer)));
        self.polls.get_or_create(&(of_peer(peer), outcome_label(outcome))).inc();
    }

    pub fn discovery_failed(&self, peer: &PeerName) {
        self.failures.get_or_create(&of_peer(peer)).inc();
    }

    pub fn discovery_changed(&self, peer: &PeerName) {
        self.changes.get_or_create(&of_peer(peer)).inc();
    }

    /// Drops what was recorded of a peer that is no longer polled.
    pub fn forget_peer(&self, peer: &PeerName) {
        for outcome in OUTCOMES {
            self.polls.remove(&(of_peer(peer), outcome_label(outcome)));
        }
        self.duration.remove(&of_peer(peer));
        self.failures.remove(&of_peer(peer));
        self.changes.remove(&of_peer(peer));
    }
}
