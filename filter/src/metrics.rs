//! The filter's counters and gauges, in Envoy's statistics as
//! `wasmcustom.mixed_version_proxy_…`. The parts `.decision.<reason>`,
//! `.form.<form>` and `.verdict.<verdict>` become Prometheus labels by the
//! `stats_tags` of the Envoy configuration.

use std::cell::Cell;
use std::time::Duration;

use discovery_map::{DiscoveryMap, DocumentForm};
use routing::Reason;

use crate::absence::Verdict;
use crate::host::Metric;

/// How often the host is told of what was counted.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// The metrics of one VM; the host adds those of all workers up.
#[derive(Debug)]
pub(crate) struct Metrics {
    decisions: [Option<Metric>; Reason::ALL.len()],
    /// What the host does not know yet. Each request is counted here: to tell
    /// the host costs more than to decide.
    decided: [Cell<u64>; Reason::ALL.len()],
    replaced: Option<Metric>,
    merged: [Option<Metric>; DocumentForm::ALL.len()],
    verdicts: [Option<Metric>; Verdict::LABELS.len()],
    claims_removed: Option<Metric>,
    certificates_refused: Option<Metric>,
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
            decided: Default::default(),
            replaced: Metric::counter("mixed_version_proxy_not_found_replaced_total"),
            merged: DocumentForm::ALL.map(|form| {
                let label = form_label(form);
                Metric::counter(&format!("mixed_version_proxy_merged_documents_total.form.{label}"))
            }),
            verdicts: Verdict::LABELS.map(|label| {
                Metric::counter(&format!(
                    "mixed_version_proxy_absence_questions_total.verdict.{label}"
                ))
            }),
            claims_removed: Metric::counter(
                "mixed_version_proxy_requests_with_identity_headers_removed_total",
            ),
            certificates_refused: Metric::counter(
                "mixed_version_proxy_client_certificates_refused_total",
            ),
            generation: Metric::gauge("mixed_version_proxy_map_generation"),
            skewed: Metric::gauge("mixed_version_proxy_skewed_targets"),
            complete: Metric::gauge("mixed_version_proxy_map_complete"),
        }
    }

    /// A request was decided; whether headers had to be removed that would
    /// have claimed an identity.
    pub(crate) fn decided(&self, reason: Reason, claims_removed: bool) {
        if let Some(decided) = self.decided.get(reason as usize) {
            decided.set(decided.get().saturating_add(1));
        }
        if claims_removed {
            count(self.claims_removed);
        }
    }

    /// Tells the host what was decided since the last time.
    pub(crate) fn publish(&self) {
        for (counter, decided) in self.decisions.iter().zip(&self.decided) {
            let requests = decided.take();
            if requests > 0 {
                add(*counter, requests);
            }
        }
    }

    /// A type-level 404 was replaced by a 503.
    pub(crate) fn replaced(&self) {
        count(self.replaced);
    }

    /// A merged document was sent, or a client told that it has it already.
    pub(crate) fn merged(&self, form: DocumentForm) {
        count(self.merged.get(form as usize).copied().flatten());
    }

    /// The companion was asked about a type-level 404.
    pub(crate) fn asked(&self, verdict: Verdict) {
        count(self.verdicts.get(verdict.number()).copied().flatten());
    }

    /// A request was refused for its verified client certificate.
    pub(crate) fn certificate_refused(&self) {
        count(self.certificates_refused);
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

fn form_label(form: DocumentForm) -> &'static str {
    match form {
        DocumentForm::Plain => "plain",
        DocumentForm::AggregatedV2 => "aggregated_v2",
        DocumentForm::AggregatedV2beta1 => "aggregated_v2beta1",
    }
}

fn count(counter: Option<Metric>) {
    add(counter, 1);
}

fn add(counter: Option<Metric>, count: u64) {
    if let Some(counter) = counter {
        counter.add(count);
    }
}
