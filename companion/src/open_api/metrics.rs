//! The metrics of reading documents of OpenAPI v3.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Label, Registry, add};

#[derive(Clone, Debug)]
pub struct OpenApiMetrics {
    reads: Family<Label, Counter>,
    merges: Counter,
}

impl OpenApiMetrics {
    pub fn new(r: &mut Registry) -> Self {
        Self {
            reads: add(r, "openapi_reads", "Reads of a peer's OpenAPI v3 document, by outcome"),
            merges: add(r, "openapi_merges", "Merges of OpenAPI v3 documents"),
        }
    }

    /// Records that a document was read in one form, or could not be.
    pub fn read(&self, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.reads.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Records that documents were compared, and merged if that was needed.
    pub fn merged(&self) {
        self.merges.inc();
    }
}
