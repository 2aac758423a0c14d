//! The metrics of the answers about absence.

use discovery_map::Absence;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::config::PeerName;
use crate::metrics::{Label, Registry, add, of_peer};

#[derive(Clone, Debug)]
pub struct AbsenceMetrics {
    questions: Family<Label, Counter>,
    pub rounds: Counter,
    failures: Family<Label<String>, Counter>,
}

impl AbsenceMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let rounds = "Rounds in which all serving peers were asked about absence";
        let failures = "Rounds about absence in which a peer did not answer";
        Self {
            questions: add(r, "absence_questions", "Absence queries for unknown types, by answer"),
            rounds: add(r, "absence_rounds", rounds),
            failures: add(r, "absence_failures", failures),
        }
    }

    pub fn answered(&self, answer: Absence) {
        self.questions.get_or_create(&[("answer", answer.as_str())]).inc();
    }

    pub fn failed(&self, peer: &PeerName) {
        self.failures.get_or_create(&of_peer(peer)).inc();
    }

    /// Drops what was recorded of a peer that is no longer configured.
    pub fn forget_peer(&self, peer: &PeerName) {
        self.failures.remove(&of_peer(peer));
    }
}
