//! The filter's counters and gauges, in Envoy's statistics as
//! `wasmcustom.mixed_version_proxy_…`. The part `.decision.<reason>` becomes a
//! Prometheus label by the `stats_tags` of the Envoy configuration.

use discovery_map::DiscoveryMap;
use routing::Reason;

use crate::host::Metric;

/// The metrics of one VM; the host adds those of all workers up.
#[derive(Debug)]
pub(crate) struct Metrics {
    decisions: [Option<Metric>; Reason::ALL.len()],
    replaced: Option<Metric>,
    generation: Option<Metric>,
    skewed: Option<Metric>,
    complete: Option<Metric>,
}

impl Metrics {
    pub(crate) fn define() -> Self {
        Self {
            decisions: Reason::ALL.map(|reason| {
                let label = reason.as_str();
                Metric::counter(&format!("mixed_version_proxy_requests_total.decision.{label}"))
            }),
            replaced: Metric::counter("mixed_version_proxy_not_found_replaced_total"),
            generation: Metric::gauge("mixed_version_proxy_map_generation"),
            skewed: Metric::gauge("mixed_version_proxy_skewed_targets"),
            complete: Metric::gauge("mixed_version_proxy_map_complete"),
        }
    }

    /// A request was decided.
    pub(crate) fn decided(&self, reason: Reason) {
        let counter = self.decisions.get(reason as usize).copied().flatten();
        if let Some(counter) = counter {
            counter.increment();
        }
    }

    /// A type-level 404 was replaced by a 503.
    pub(crate) fn replaced(&self) {
        if let Some(counter) = self.replaced {
            counter.increment();
        }
    }

    /// A map was taken into use.
    pub(crate) fn configured(&self, map: &DiscoveryMap) {
        let skewed = u64::try_from(map.skewed_targets()).unwrap_or(u64::MAX);
        let gauges = [
            (self.generation, map.generation()),
            (self.skewed, skewed),
            (self.complete, u64::from(map.is_complete())),
        ];
        for (gauge, value) in gauges {
            if let Some(gauge) = gauge {
                gauge.record(value);
            }
        }
    }
}
