//! The metrics of Kubernetes Events.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Label, Registry, add_counters};

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The API server has it.
    Written,
    /// Another companion wrote it, or an earlier attempt.
    Duplicate,
    /// The API server does not want it. It is given up.
    Refused,
    /// No API server took it. It is tried again.
    Failed,
    /// It was given up before any API server took it.
    Dropped,
}

#[derive(Clone, Debug)]
pub struct KubernetesEventsMetrics {
    events: Family<Label, Counter>,
}

impl Outcome {
    const LABELS: [&str; 5] = ["written", "duplicate", "refused", "failed", "dropped"];

    fn label(self) -> Label {
        let outcome = match self {
            Self::Written => "written",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        };
        [("outcome", outcome)]
    }
}

impl KubernetesEventsMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let help = "Writes of Kubernetes Events, by outcome";
        let labels = ("outcome", &Outcome::LABELS[..]);
        Self { events: add_counters(r, "kubernetes_events", help, labels) }
    }

    /// Counts writes that ended so.
    pub(super) fn count(&self, outcome: Outcome, writes: u64) {
        self.events.get_or_create(&outcome.label()).inc_by(writes);
    }
}
