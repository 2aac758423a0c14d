//! What the areas share to define their metrics, all of which are called
//! `mixed_version_companion_…`.
//!
//! Each area has a struct with its metrics (`poll/metrics.rs`, `publish/metrics.rs`, …) that
//! registers them when it is made; `app/metrics.rs` makes all of them. Clones share their values.
//! The values of every label are a closed set: literals in the area's file, or the names of the
//! peers that there are; what was recorded of others is dropped.

use discovery_map::PeerState;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Unit};

pub use prometheus_client::registry::Registry;

/// The name and the value of a label.
pub type Label<V = &'static str> = [(&'static str, V); 1];

pub fn of_peer(name: impl ToString) -> Label<String> {
    [("peer", name.to_string())]
}

pub fn state_label(state: PeerState) -> &'static str {
    match state {
        PeerState::Serving => "serving",
        PeerState::NotReady => "not_ready",
        PeerState::Unreachable => "unreachable",
    }
}

/// Registers a metric, and returns it.
pub fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Registers a metric whose name gets its unit as a suffix, and returns it.
pub fn add_with_unit<M: Metric + Clone>(
    registry: &mut Registry,
    (name, unit): (&str, Unit),
    help: &str,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

/// Returns a histogram of durations from a millisecond to ten seconds.
pub fn durations() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Returns a number as the value of a gauge.
pub fn gauge(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
