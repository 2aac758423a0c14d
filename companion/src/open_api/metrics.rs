//! The metrics of reading documents of OpenAPI v3.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Label, Registry, add, add_counters};

/// How the read of a document ended. A closed set, because it labels a counter.
#[derive(Clone, Copy, Debug)]
pub enum ReadOutcome {
    /// The peer sent the document.
    Succeeded,
    /// The peer did not send it.
    Failed,
    /// What the peer sent is not a valid document. This is counted after `Succeeded`.
    Unusable,
}

impl ReadOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unusable => "unusable",
        }
    }
}

#[derive(Clone, Debug)]
pub struct OpenApiMetrics {
    reads: Family<Label, Counter>,
    merges: Counter,
}

impl OpenApiMetrics {
    pub fn new(r: &mut Registry) -> Self {
        use ReadOutcome::{Failed, Succeeded, Unusable};
        let reads = "Reads of a peer's OpenAPI v3 document, by outcome";
        let merges =
            "Group-versions whose OpenAPI v3 documents were compared, and merged if needed";
        let outcomes = ("outcome", &[Succeeded, Failed, Unusable].map(ReadOutcome::as_str)[..]);
        Self {
            reads: add_counters(r, "openapi_reads", reads, outcomes),
            merges: add(r, "openapi_merges", merges),
        }
    }

    /// Records how a document was read in one form.
    pub fn read(&self, outcome: ReadOutcome) {
        self.reads.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    /// Records that documents were compared, and merged if that was needed.
    pub fn merged(&self) {
        self.merges.inc();
    }
}
