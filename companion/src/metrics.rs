//! What the areas share to define their metrics, all of which are called
//! `mixed_version_companion_…`.
//!
//! Each area has a struct with its metrics (`poll/metrics.rs`, `publish/metrics.rs`, …) that
//! registers them when it is made; `app/metrics.rs` makes all of them. Clones share their values.
//! The values of every label are a closed set: literals in the area's file, or the names of the
//! peers and control planes that there are; what was recorded of others is dropped.
//!
//! Each control plane has a registry of its own, with its name as a label of everything in it. So
//! what it records cannot get into another's series, and goes when it goes.

use std::collections::HashMap;
use std::fmt;

use discovery_map::PeerState;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Unit};

pub use prometheus_client::registry::Registry;

#[cfg(test)]
pub mod table;

/// What the name of every metric begins with.
const PREFIX: &str = "mixed_version_companion";

/// The name and the value of a label.
pub type Label<V = &'static str> = [(&'static str, V); 1];

/// Returns an empty registry: of a control plane with this name among many, or of all else.
pub fn registry(control_plane: Option<&str>) -> Registry {
    let label = control_plane.map(|name| ("control_plane".into(), name.to_owned().into()));
    Registry::with_prefix_and_labels(PREFIX, label.into_iter())
}

/// Returns the text of several registries, with each family once.
pub fn exposition<'r>(
    registries: impl IntoIterator<Item = &'r Registry>,
) -> Result<String, fmt::Error> {
    const END: &str = "# EOF\n";
    let sample = format!("\n{PREFIX}");
    let mut families = Vec::<String>::new();
    let mut places = HashMap::new();
    let mut text = String::new();
    for registry in registries {
        text.clear();
        text::encode(&mut text, registry)?;
        // Every family begins with the line of its help.
        for family in text.trim_end_matches(END).split("# HELP ").skip(1) {
            let samples = family.find(&sample).map_or(family.len(), |end| end + 1);
            let (head, samples) = family.split_at(samples);
            let place = *places.entry(head.to_owned()).or_insert(families.len());
            match families.get_mut(place) {
                Some(known) => known.push_str(samples),
                None => families.push(format!("# HELP {family}")),
            }
        }
    }
    Ok(families.concat() + END)
}

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

/// Registers a counter for each of these values of a label, and returns them. All are exposed as 0
/// from the start: Prometheus' `increase` does not see that a counter appears.
pub fn add_counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    (label, values): (&'static str, &[&'static str]),
) -> Family<Label, Counter> {
    let counters: Family<Label, Counter> = add(registry, name, help);
    for value in values {
        drop(counters.get_or_create(&[(label, *value)]));
    }
    counters
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_comes_once_with_the_series_of_all_registries() {
        let of = |name| {
            let mut registry = registry(name);
            let things: Family<Label, Counter> = add(&mut registry, "things", "Things");
            things.get_or_create(&[("kind", "a")]).inc();
            registry
        };
        let mut main = registry(None);
        add::<Counter>(&mut main, "others", "Others").inc();
        add::<Family<Label, Counter>>(&mut main, "things", "Things");
        let (one, two) = (of(Some("one")), of(Some("two")));
        let text = exposition([&main, &one, &two]).unwrap();
        let of = |name| {
            format!(
                "mixed_version_companion_things_total{{control_plane=\"{name}\",kind=\"a\"}} 1\n"
            )
        };
        let expected = [
            "# HELP mixed_version_companion_others Others.\n",
            "# TYPE mixed_version_companion_others counter\n",
            "mixed_version_companion_others_total 1\n",
            "# HELP mixed_version_companion_things Things.\n",
            "# TYPE mixed_version_companion_things counter\n",
            &of("one"),
            &of("two"),
            "# EOF\n",
        ];
        assert_eq!(text, expected.concat());
        assert!(!exposition([&main, &one]).unwrap().contains("two"));
    }
}
