//! The filter's counters and gauges, in Envoy's statistics as `wasmcustom.<name>`.
//! The parts `.decision.<reason>`, `.form.<form>`, `.component.<component>` and
//! `.outcome.<outcome>` become Prometheus labels by the `stats_tags` of the Envoy
//! configuration.

use std::cell::Cell;
use std::time::Duration;

use discovery_map::{DiscoveryMap, DocumentForm};
use routing::interest::NotFoundChange;
use routing::{Component, Reason, RequestChange, Skew, SkewOutcome};

use crate::host::Host;

/// How often the host is told how many requests were decided.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// What is counted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A type-level 404 was replaced by a 503.
    NotFoundReplaced,
    /// A request had identity headers, which only the filter may set.
    ClaimsRemoved,
    /// A request was refused for its verified client certificate.
    CertificateRefused,
    /// A merged document was sent, or a 304 for it.
    DocumentSent(DocumentForm),
    /// A merged document was sent with what only the server listed.
    DocumentExtended,
    /// A server denied a request, or another server answered after that.
    Doubted(Doubt),
    /// The mode withheld a change of a request.
    RequestChangeWithheld(RequestChange),
    /// The mode withheld a change of a type-level 404.
    NotFoundChangeWithheld(NotFoundChange),
}

/// The outcome of a type-level 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Another server was asked.
    AskedAgain,
    /// Another server answered.
    Answered,
    /// Every server in rotation denied the request: the 404 passed.
    DeniedByAll,
    /// The 404 cannot be proved now.
    Unproved,
    /// The budget was spent.
    OverBudget,
}

/// Each event, and its counter.
const EVENTS: [(Event, &str); 18] = {
    use DocumentForm::{AggregatedV2, AggregatedV2beta1, Plain, Protobuf};
    use Doubt::{Answered, AskedAgain, DeniedByAll, OverBudget, Unproved};
    use Event::{
        CertificateRefused, ClaimsRemoved, DocumentExtended, DocumentSent, Doubted,
        NotFoundChangeWithheld, NotFoundReplaced, RequestChangeWithheld,
    };
    use NotFoundChange::{Prevented, Replaced};
    use RequestChange::{Merged, Refused, Rerouted};
    [
        (NotFoundReplaced, "not_found_replaced_total"),
        (ClaimsRemoved, "requests_with_identity_headers_removed_total"),
        (CertificateRefused, "client_certificates_refused_total"),
        (DocumentSent(Plain), "merged_documents_total.form.plain"),
        (DocumentSent(AggregatedV2), "merged_documents_total.form.aggregated_v2"),
        (DocumentSent(AggregatedV2beta1), "merged_documents_total.form.aggregated_v2beta1"),
        // Other documents are sent in protobuf too, as an encoding of the other forms.
        (DocumentSent(Protobuf), "merged_documents_total.form.openapi_protobuf"),
        (DocumentExtended, "merged_documents_extended_total"),
        (Doubted(AskedAgain), "type_level_not_found_total.outcome.asked_again"),
        (Doubted(Answered), "type_level_not_found_total.outcome.answered"),
        (Doubted(DeniedByAll), "type_level_not_found_total.outcome.denied_by_all"),
        (Doubted(Unproved), "type_level_not_found_total.outcome.unproved"),
        (Doubted(OverBudget), "type_level_not_found_total.outcome.over_budget"),
        (RequestChangeWithheld(Rerouted), "withheld_requests_total.outcome.rerouted"),
        (RequestChangeWithheld(Merged), "withheld_requests_total.outcome.merged"),
        (RequestChangeWithheld(Refused), "withheld_requests_total.outcome.refused"),
        (NotFoundChangeWithheld(Prevented), "withheld_not_found_total.outcome.prevented"),
        (NotFoundChangeWithheld(Replaced), "withheld_not_found_total.outcome.replaced"),
    ]
};

/// How many counters there are of components' requests.
const COMPONENTS: usize = Component::ALL.len() * SkewOutcome::ALL.len();

/// The gauges of the maps in use, as in [`Summary`].
const GAUGES: [&str; 3] = [
    "mixed_version_proxy_map_generation",
    "mixed_version_proxy_skewed_targets",
    "mixed_version_proxy_map_complete",
];

/// What the gauges show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// 0 with several maps: their generations have nothing in common.
    generation: u64,
    skewed_targets: u64,
    is_complete: bool,
}

impl Summary {
    pub(crate) fn of(map: &DiscoveryMap) -> Self {
        let skewed_targets = u64::try_from(map.skewed_targets()).unwrap_or(u64::MAX);
        Self { generation: map.generation, skewed_targets, is_complete: map.complete }
    }

    /// Returns the summary of the maps of several control planes.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            generation: 0,
            skewed_targets: self.skewed_targets.saturating_add(other.skewed_targets),
            is_complete: self.is_complete && other.is_complete,
        }
    }
}

/// The metrics of one VM; the host adds up those of all workers.
#[derive(Debug)]
pub(crate) struct Metrics<M> {
    requests: [Option<M>; Reason::ALL.len()],
    /// What the host was not told yet. Each request is counted here, because
    /// telling the host costs more than deciding.
    decided: [Cell<u64>; Reason::ALL.len()],
    /// The counters of components' requests for which the version skew policy mattered, by component and
    /// outcome.
    components: [Option<M>; COMPONENTS],
    /// As `decided`.
    skewed: [Cell<u64>; COMPONENTS],
    events: [Option<M>; EVENTS.len()],
    gauges: [Option<M>; GAUGES.len()],
}

impl<M: Copy> Metrics<M> {
    pub(crate) fn define(host: &impl Host<Metric = M>) -> Self {
        let requests = |reason: Reason| {
            let reason = reason.as_str();
            host.counter(&format!("mixed_version_proxy_requests_total.decision.{reason}"))
        };
        let event = |(_, name)| host.counter(&format!("mixed_version_proxy_{name}"));
        Self {
            requests: Reason::ALL.map(requests),
            decided: Default::default(),
            components: components(host),
            skewed: Default::default(),
            events: EVENTS.map(event),
            gauges: GAUGES.map(|name| host.gauge(name)),
        }
    }

    /// A request was decided.
    pub(crate) fn decided(&self, reason: Reason) {
        if let Some(decided) = self.decided.get(reason as usize) {
            decided.set(decided.get().saturating_add(1));
        }
    }

    /// The version skew policy mattered for a component's request.
    pub(crate) fn skewed(&self, Skew { component, outcome }: Skew) {
        let of_component = component.component as usize * SkewOutcome::ALL.len();
        if let Some(skewed) = self.skewed.get(of_component + outcome as usize) {
            skewed.set(skewed.get().saturating_add(1));
        }
    }

    /// Tells the host how many requests were decided since the last time.
    pub(crate) fn publish(&self, host: &impl Host<Metric = M>) {
        let requests = self.requests.iter().zip(&self.decided);
        for (counter, decided) in requests.chain(self.components.iter().zip(&self.skewed)) {
            let count = decided.take();
            if let Some(counter) = counter.filter(|_| count > 0) {
                host.add(counter, count);
            }
        }
    }

    pub(crate) fn count(&self, host: &impl Host<Metric = M>, event: Event) {
        let mut events = EVENTS.iter().zip(self.events);
        if let Some((_, Some(counter))) = events.find(|((known, _), _)| *known == event) {
            host.add(counter, 1);
        }
    }

    /// Shows which maps are in use.
    pub(crate) fn show(&self, host: &impl Host<Metric = M>, maps: Summary) {
        let values = [maps.generation, maps.skewed_targets, u64::from(maps.is_complete)];
        for (gauge, value) in self.gauges.iter().zip(values) {
            if let Some(gauge) = gauge {
                host.record(*gauge, value);
            }
        }
    }
}

/// Defines the counters of components' requests, in the order of their numbers.
fn components<M: Copy>(host: &impl Host<Metric = M>) -> [Option<M>; COMPONENTS] {
    let mut all = [None; COMPONENTS];
    let names = Component::ALL
        .into_iter()
        .flat_map(|component| SkewOutcome::ALL.map(|outcome| (component, outcome)));
    for (counter, (component, outcome)) in all.iter_mut().zip(names) {
        let (component, outcome) = (component.label(), outcome.as_str());
        *counter = host.counter(&format!(
            "mixed_version_proxy_skew_policy_requests_total.component.{component}.outcome.{outcome}"
        ));
    }
    all
}

#[cfg(test)]
mod tests;
