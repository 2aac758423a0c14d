//! The metrics of publishing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use discovery_map::MapDocument;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::metrics::{Registry, durations, gauge, label_values, register, register_in};

/// The metrics of publishing; clones share their values.
#[derive(Clone, Debug)]
pub struct PublishMetrics {
    generation: Gauge,
    complete: Gauge,
    skewed_targets: Gauge,
    serving_sets: Gauge,
    merged_documents: Gauge,
    merged_document_bytes: Gauge,
    pushes: Family<PushLabels, Counter>,
    push_duration: Histogram,
    last_push: Gauge,
    repairs: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    outcome: PushOutcome,
}

label_values! {
    /// How a push ended.
    PushOutcome {
        /// Everything was written.
        Published = "published",
        /// Something could not be written; it is tried again.
        Failed = "failed",
    }
}

impl PublishMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let number = |r: &mut Registry, name, help| register(r, name, help, Gauge::default());
        Self {
            generation: number(r, "map_generation", "Generation of the map published last"),
            complete: number(
                r,
                "map_complete",
                "1 if the discovery of every peer was read, so that an unknown type does not exist",
            ),
            skewed_targets: number(
                r,
                "map_skewed_targets",
                "Resources and subresources that some peers in rotation do not serve",
            ),
            serving_sets: number(r, "map_serving_sets", "Distinct sets of peers in the map"),
            merged_documents: number(
                r,
                "map_merged_documents",
                "Merged documents in the map published last",
            ),
            merged_document_bytes: register_in(
                r,
                Unit::Bytes,
                "map_merged_documents",
                "Size of the merged documents in the map, compressed and in base64",
                Gauge::default(),
            ),
            pushes: register(r, "pushes", "Pushes to Envoy, by outcome", Family::default()),
            push_duration: register_in(
                r,
                Unit::Seconds,
                "push_duration",
                "Duration of a push",
                durations(),
            ),
            last_push: register_in(
                r,
                Unit::Seconds,
                "last_push_timestamp",
                "Time of the last push, since 1970",
                Gauge::default(),
            ),
            repairs: register(
                r,
                "repairs",
                "Times that published files were found changed by others",
                Counter::default(),
            ),
        }
    }

    /// Records the end of a push.
    pub fn pushed(&self, outcome: PushOutcome, duration: Duration) {
        self.pushes.get_or_create(&PushLabels { outcome }).inc();
        self.push_duration.observe(duration.as_secs_f64());
    }

    /// Records a map that was published.
    pub fn published(&self, map: &MapDocument, skewed_targets: usize, at: SystemTime) {
        self.generation.set(gauge(map.generation));
        self.complete.set(i64::from(map.complete));
        self.skewed_targets.set(gauge(skewed_targets));
        self.serving_sets.set(gauge(map.sets.len()));
        self.merged_documents.set(gauge(map.documents.len()));
        let sizes = map.documents.iter().map(|document| document.gzip.len());
        self.merged_document_bytes.set(gauge(sizes.sum::<usize>()));
        self.last_push.set(gauge(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()));
    }

    /// Records that published files had to be written again.
    pub fn repaired(&self) {
        self.repairs.inc();
    }
}
