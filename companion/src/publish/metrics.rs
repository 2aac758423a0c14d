//! The metrics of publishing.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::publisher::Publication;
use crate::metrics::{Label, Registry, add, add_counters, add_with_unit, durations, gauge};

/// How a push ends.
const OUTCOMES: (&str, &[&str]) = ("outcome", &["published", "failed"]);

#[derive(Clone, Debug)]
pub struct PublishMetrics {
    generation: Gauge,
    complete: Gauge,
    skewed_targets: Gauge,
    serving_sets: Gauge,
    merged_documents: Gauge,
    merged_document_bytes: Gauge,
    pushes: Family<Label, Counter>,
    push_duration: Histogram,
    last_push: Gauge,
    pub repairs: Counter,
}

impl PublishMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let complete = "1 if the discovery of every peer is known";
        let skewed = "Resources and subresources that not every peer in rotation serves";
        let documents = "Merged documents in the map published last";
        let bytes = "Size of the merged documents in the map, compressed and in base64";
        let at = "Time of the last push, in seconds since 1970";
        let repairs = "Repairs of published files that another process changed";
        let size = ("map_merged_documents", Unit::Bytes);
        let duration = ("push_duration", Unit::Seconds);
        let last = ("last_push_timestamp", Unit::Seconds);
        Self {
            generation: add(r, "map_generation", "Generation of the map published last"),
            complete: add(r, "map_complete", complete),
            skewed_targets: add(r, "map_skewed_targets", skewed),
            serving_sets: add(r, "map_serving_sets", "Distinct sets of peers in the map"),
            merged_documents: add(r, "map_merged_documents", documents),
            merged_document_bytes: add_with_unit(r, size, bytes, Gauge::default()),
            pushes: add_counters(r, "pushes", "Pushes to Envoy, by outcome", OUTCOMES),
            push_duration: add_with_unit(r, duration, "Duration of a push", durations()),
            last_push: add_with_unit(r, last, at, Gauge::default()),
            repairs: add(r, "repairs", repairs),
        }
    }

    /// Records the end of a push. One that failed is tried again.
    pub fn pushed(&self, published: bool, duration: Duration) {
        let outcome = if published { "published" } else { "failed" };
        self.pushes.get_or_create(&[("outcome", outcome)]).inc();
        self.push_duration.observe(duration.as_secs_f64());
    }

    pub fn published(&self, publication: &Publication) {
        let map = &publication.map;
        self.generation.set(gauge(map.generation));
        self.complete.set(i64::from(map.complete));
        self.skewed_targets.set(gauge(publication.skewed_targets));
        self.serving_sets.set(gauge(map.sets.len()));
        self.merged_documents.set(gauge(map.documents.len()));
        let sizes = map.documents.iter().map(|document| document.gzip.len());
        self.merged_document_bytes.set(gauge(sizes.sum::<usize>()));
        self.last_push.set(gauge(publication.at.as_secs()));
    }
}
