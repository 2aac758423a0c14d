//! What the areas share to define their metrics, all of which are called
//! `mixed_version_companion_…`.
//!
//! Each area has a struct with its metrics (`poll/metrics.rs`,
//! `publish/metrics.rs`, …) that registers them when it is made; `app/metrics.rs`
//! makes all of them. Every label is a closed set: an enum, or the peers' names,
//! which the configuration closes.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Unit};

pub use prometheus_client::registry::Registry;

/// The name and the value of a label.
pub type Label<V> = [(&'static str, V); 1];

/// Returns the label of a peer.
pub fn of_peer(name: impl ToString) -> Label<String> {
    [("peer", name.to_string())]
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

/// Defines enums that are label values, each value with its text.
macro_rules! label_values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[$value_doc])* $value,)+
            }

            impl $name {
                /// Returns the value's text.
                pub fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$value => $text,)+
                    }
                }
            }

            impl prometheus_client::encoding::EncodeLabelValue for $name {
                fn encode(
                    &self,
                    encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
                ) -> Result<(), std::fmt::Error> {
                    prometheus_client::encoding::EncodeLabelValue::encode(&self.as_str(), encoder)
                }
            }
        )+
    };
}

pub(crate) use label_values;
