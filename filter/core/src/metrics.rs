//! The filter's counters and gauges, in Envoy's statistics as
//! `wasmcustom.mixed_version_proxy_…`. The parts `.decision.<reason>`,
//! `.form.<form>` and `.verdict.<verdict>` become Prometheus labels by the
//! `stats_tags` of the Envoy configuration.

use std::cell::Cell;
use std::time::Duration;

use discovery_map::{DiscoveryMap, DocumentForm};
use routing::Reason;

use crate::absence::Verdict;
use crate::host::Host;

/// How often the host is told of what was counted.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// The names of all metrics, without labels.
pub const METRIC_NAMES: [&str; 9] = [
    "mixed_version_proxy_requests_total",
    "mixed_version_proxy_not_found_replaced_total",
    "mixed_version_proxy_merged_documents_total",
    "mixed_version_proxy_absence_questions_total",
    "mixed_version_proxy_requests_with_identity_headers_removed_total",
    "mixed_version_proxy_client_certificates_refused_total",
    "mixed_version_proxy_map_generation",
    "mixed_version_proxy_skewed_targets",
    "mixed_version_proxy_map_complete",
];

/// The metrics of one VM; the host adds those of all workers up.
#[derive(Debug)]
pub(crate) struct Metrics<M> {
    decisions: [Option<M>; Reason::ALL.len()],
    /// What the host was not told yet. Each request is counted here, for telling
    /// the host costs more than deciding.
    decided: [Cell<u64>; Reason::ALL.len()],
    replaced: Option<M>,
    merged: [Option<M>; DocumentForm::ALL.len()],
    verdicts: [Option<M>; Verdict::LABELS.len()],
    claims_removed: Option<M>,
    certificates_refused: Option<M>,
    generation: Option<M>,
    skewed: Option<M>,
    complete: Option<M>,
}

impl<M: Copy> Metrics<M> {
    pub(crate) fn define<H: Host<Metric = M>>(host: &H) -> Self {
        Self {
            decisions: Reason::ALL.map(|reason| {
                let label = reason.as_str();
                host.counter(&format!("mixed_version_proxy_requests_total.decision.{label}"))
            }),
            decided: Default::default(),
            replaced: host.counter("mixed_version_proxy_not_found_replaced_total"),
            merged: DocumentForm::ALL.map(|form| {
                let label = form_label(form);
                host.counter(&format!("mixed_version_proxy_merged_documents_total.form.{label}"))
            }),
            verdicts: Verdict::LABELS.map(|label| {
                host.counter(&format!(
                    "mixed_version_proxy_absence_questions_total.verdict.{label}"
                ))
            }),
            claims_removed: host
                .counter("mixed_version_proxy_requests_with_identity_headers_removed_total"),
            certificates_refused: host
                .counter("mixed_version_proxy_client_certificates_refused_total"),
            generation: host.gauge("mixed_version_proxy_map_generation"),
            skewed: host.gauge("mixed_version_proxy_skewed_targets"),
            complete: host.gauge("mixed_version_proxy_map_complete"),
        }
    }

    /// A request was decided. `claims_removed` is whether it had identity
    /// headers, which only the filter may set.
    pub(crate) fn decided(
        &self,
        host: &impl Host<Metric = M>,
        reason: Reason,
        claims_removed: bool,
    ) {
        if let Some(decided) = self.decided.get(reason as usize) {
            decided.set(decided.get().saturating_add(1));
        }
        if claims_removed {
            count(host, self.claims_removed);
        }
    }

    /// Tells the host how many requests were decided since the last time.
    pub(crate) fn publish(&self, host: &impl Host<Metric = M>) {
        for (counter, decided) in self.decisions.iter().zip(&self.decided) {
            let requests = decided.take();
            if requests > 0 {
                add(host, *counter, requests);
            }
        }
    }

    /// A type-level 404 was replaced by a 503.
    pub(crate) fn replaced(&self, host: &impl Host<Metric = M>) {
        count(host, self.replaced);
    }

    /// A merged document was sent, or a 304 for it.
    pub(crate) fn merged(&self, host: &impl Host<Metric = M>, form: DocumentForm) {
        count(host, self.merged.get(form as usize).copied().flatten());
    }

    /// The companion was asked about a type-level 404.
    pub(crate) fn asked(&self, host: &impl Host<Metric = M>, verdict: Verdict) {
        count(host, self.verdicts.get(verdict.number()).copied().flatten());
    }

    /// A request was refused for its verified client certificate.
    pub(crate) fn certificate_refused(&self, host: &impl Host<Metric = M>) {
        count(host, self.certificates_refused);
    }

    /// A map was taken into use.
    pub(crate) fn configured(&self, host: &impl Host<Metric = M>, map: &DiscoveryMap) {
        let skewed = u64::try_from(map.skewed_targets()).unwrap_or(u64::MAX);
        let gauges = [
            (self.generation, map.generation()),
            (self.skewed, skewed),
            (self.complete, u64::from(map.is_complete())),
        ];
        for (gauge, value) in gauges {
            if let Some(gauge) = gauge {
                host.record(gauge, value);
            }
        }
    }
}

fn form_label(form: DocumentForm) -> &'static str {
    match form {
        DocumentForm::Plain => "plain",
        DocumentForm::AggregatedV2 => "aggregated_v2",
        DocumentForm::AggregatedV2beta1 => "aggregated_v2beta1",
    }
}

fn count<H: Host>(host: &H, counter: Option<H::Metric>) {
    add(host, counter, 1);
}

fn add<H: Host>(host: &H, counter: Option<H::Metric>, count: u64) {
    if let Some(counter) = counter {
        host.add(counter, count);
    }
}
