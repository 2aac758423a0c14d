//! The metrics of the answers about absence.

use discovery_map::Absence;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::config::PeerName;
use crate::metrics::{PeerLabel, Registry, register};

/// The metrics of the answers about absence; clones share their values.
#[derive(Clone, Debug)]
pub struct AbsenceMetrics {
    questions: Family<AbsenceLabels, Counter>,
    rounds: Counter,
    failures: Family<PeerLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AbsenceLabels {
    answer: &'static str,
}

impl AbsenceMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let (questions, failures) = (Family::default(), Family::default());
        Self {
            questions: register(
                r,
                "absence_questions",
                "Absence queries about unknown types, by answer",
                questions,
            ),
            rounds: register(
                r,
                "absence_rounds",
                "Rounds in which all serving peers were asked to answer absence queries",
                Counter::default(),
            ),
            failures: register(
                r,
                "absence_failures",
                "Rounds for absence queries in which a peer did not answer",
                failures,
            ),
        }
    }

    /// Records an answer.
    pub fn answered(&self, answer: Absence) {
        self.questions.get_or_create(&AbsenceLabels { answer: answer.as_str() }).inc();
    }

    /// Records the start of a round.
    pub fn round(&self) {
        self.rounds.inc();
    }

    /// Records that a peer did not answer.
    pub fn failed(&self, peer: &PeerName) {
        self.failures.get_or_create(&PeerLabel::of(peer)).inc();
    }

    /// Drops what was recorded of a peer that is no longer configured.
    pub fn forget_peer(&self, peer: &PeerName) {
        self.failures.remove(&PeerLabel::of(peer));
    }
}
