//! The metrics of the sources.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::standing::{SourceKind, SourceState, SourceStatus};
use crate::metrics::{Label, Registry, add, add_with_unit, gauge};

#[derive(Clone, Debug)]
pub struct SourceMetrics {
    fresh: Family<Label, Gauge>,
    peers: Family<Label, Gauge>,
    errors: Family<Label, Counter>,
    last_success: Family<Label, Gauge>,
}

fn of_kind(kind: SourceKind) -> Label {
    let kind = match kind {
        SourceKind::Static => "static",
        SourceKind::Dns => "dns",
        SourceKind::EndpointSlices => "endpoint_slices",
    };
    [("kind", kind)]
}

impl SourceMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let fresh = "1 while the peers are what their source says; 0 while it fails";
        let success = "Time at which the source last said which servers there are, since 1970";
        let success_name = ("source_last_success_timestamp", Unit::Seconds);
        Self {
            fresh: add(r, "source_fresh", fresh),
            peers: add(r, "source_peers", "Peers that the source has"),
            errors: add(r, "source_errors", "Failures of the source, and times it was empty"),
            last_success: add_with_unit(r, success_name, success, Family::default()),
        }
    }

    /// Records how a source is.
    pub fn source(&self, status: &SourceStatus) {
        let label = of_kind(status.kind);
        let fresh = status.state == SourceState::Fresh;
        self.fresh.get_or_create(&label).set(i64::from(fresh));
        self.peers.get_or_create(&label).set(gauge(status.peers.len()));
        // A counter is exposed before its first event, so that the event shows.
        drop(self.errors.get_or_create(&label));
        if let Some(success) = status.last_success_unix_seconds {
            self.last_success.get_or_create(&label).set(gauge(success));
        }
    }

    /// Counts a failure.
    pub fn failed(&self, kind: SourceKind) {
        self.errors.get_or_create(&of_kind(kind)).inc();
    }

    /// Drops what was recorded of a source that another replaces.
    pub fn reset(&self) {
        self.fresh.clear();
        self.peers.clear();
        self.errors.clear();
        self.last_success.clear();
    }
}
