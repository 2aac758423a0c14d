//! The metrics of configuration reloads.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Label, Registry, add, label_values};

/// The metrics of reloads; clones share their values.
#[derive(Clone, Debug)]
pub struct ReloadMetrics(Family<Label<ReloadOutcome>, Counter>);

label_values! {
    /// How a reload of the configuration ended.
    ReloadOutcome {
        /// The new configuration is in force.
        Applied = "applied",
        /// The old configuration stays in force.
        Refused = "refused",
    }
}

impl ReloadMetrics {
    /// Registers the metrics.
    pub fn new(r: &mut Registry) -> Self {
        Self(add(r, "config_reloads", "Changes of the configuration, by outcome"))
    }

    /// Records the end of a reload.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.0.get_or_create(&[("outcome", outcome)]).inc();
    }
}
