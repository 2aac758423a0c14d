//! The metrics of configuration reloads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::{Registry, label_values, register};

/// The metrics of reloads; clones share their values.
#[derive(Clone, Debug)]
pub struct ReloadMetrics(Family<ReloadLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: ReloadOutcome,
}

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
    pub fn new(registry: &mut Registry) -> Self {
        let help = "Changes of the configuration, by outcome";
        Self(register(registry, "config_reloads", help, Family::default()))
    }

    /// Records the end of a reload.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.0.get_or_create(&ReloadLabels { outcome }).inc();
    }
}
