//! The metrics of a mirror.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use crate::metrics::{Label, Registry, add, add_counters, add_with_unit, gauge};

/// What a mirror counts.
#[derive(Clone, Debug)]
pub struct MirrorMetrics {
    connected: Gauge,
    confirmed: Gauge,
    resources: Gauge,
    failures: Counter,
    saves: Family<Label, Counter>,
}

impl MirrorMetrics {
    /// Registers the metrics.
    pub fn new(r: &mut Registry) -> Self {
        let confirmed = ("mirror_confirmed_timestamp", Unit::Seconds);
        let saves = "Writes of the file with the resources, by outcome";
        let help = "Time when a companion last confirmed the kept resources, since 1970";
        Self {
            connected: add(r, "mirror_connected", "1 while the mirror follows a companion"),
            confirmed: add_with_unit(r, confirmed, help, Gauge::default()),
            resources: add(r, "mirror_resources", "Resources that are kept"),
            failures: add(
                r,
                "mirror_connection_failures",
                "Streams to companions that ended or could not be opened",
            ),
            saves: add_counters(r, "mirror_saves", saves, ("outcome", &["succeeded", "failed"])),
        }
    }

    /// Records whether a companion is followed.
    pub fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }

    /// Records when a companion last said what is kept.
    pub fn confirmed(&self, at: SystemTime) {
        self.confirmed.set(gauge(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()));
    }

    /// Records how many resources are kept.
    pub fn resources(&self, count: usize) {
        self.resources.set(gauge(count));
    }

    /// Records that a stream failed, or could not be opened.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Records a write of the file.
    pub fn saved(&self, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.saves.get_or_create(&[("outcome", outcome)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{exposition, registry, table};

    #[test]
    fn the_document_lists_every_metric_and_every_label_value() {
        let mut registry = registry(None);
        MirrorMetrics::new(&mut registry);
        table::compare("## Mirror:", &exposition([&registry]).unwrap());
    }
}
