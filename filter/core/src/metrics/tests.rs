//! Which counter an event raises.

use discovery_map::DocumentForm;
use routing::RequestChange;
use routing::interest::NotFoundChange;

use super::{Doubt, EVENTS, Event, Metrics};
use crate::mock::MockProxy;

/// The counters that one event raises, after `mixed_version_proxy_`, with their
/// values.
fn raised(event: Event) -> Vec<(String, u64)> {
    let host = MockProxy::default().host;
    Metrics::define(&host).count(&host, event);
    let metrics = host.state().metrics.clone();
    let raised = metrics.into_iter().filter(|(_, value)| *value > 0);
    raised.map(|(name, value)| (name.replace("mixed_version_proxy_", ""), value)).collect()
}

#[test]
fn each_event_raises_its_own_counter_by_one() {
    let form = |form| Event::DocumentSent(form);
    let request = |change| Event::RequestChangeWithheld(change);
    let not_found = |change| Event::NotFoundChangeWithheld(change);
    let expected = [
        (Event::NotFoundReplaced, "not_found_replaced_total"),
        (Event::ClaimsRemoved, "requests_with_identity_headers_removed_total"),
        (Event::CertificateRefused, "client_certificates_refused_total"),
        (form(DocumentForm::Plain), "merged_documents_total.form.plain"),
        (form(DocumentForm::AggregatedV2), "merged_documents_total.form.aggregated_v2"),
        (form(DocumentForm::AggregatedV2beta1), "merged_documents_total.form.aggregated_v2beta1"),
        (form(DocumentForm::Protobuf), "merged_documents_total.form.openapi_protobuf"),
        (Event::DocumentExtended, "merged_documents_extended_total"),
        (Event::Doubted(Doubt::AskedAgain), "type_level_not_found_total.outcome.asked_again"),
        (Event::Doubted(Doubt::Answered), "type_level_not_found_total.outcome.answered"),
        (Event::Doubted(Doubt::DeniedByAll), "type_level_not_found_total.outcome.denied_by_all"),
        (Event::Doubted(Doubt::Unproved), "type_level_not_found_total.outcome.unproved"),
        (Event::Doubted(Doubt::OverBudget), "type_level_not_found_total.outcome.over_budget"),
        (request(RequestChange::Rerouted), "withheld_requests_total.outcome.rerouted"),
        (request(RequestChange::Merged), "withheld_requests_total.outcome.merged"),
        (request(RequestChange::Refused), "withheld_requests_total.outcome.refused"),
        (not_found(NotFoundChange::Prevented), "withheld_not_found_total.outcome.prevented"),
        (not_found(NotFoundChange::Replaced), "withheld_not_found_total.outcome.replaced"),
    ];
    assert_eq!(expected.len(), EVENTS.len());
    for (event, name) in expected {
        assert_eq!(raised(event), [(name.to_owned(), 1)], "{event:?}");
    }
}

#[test]
fn every_form_has_a_counter() {
    for form in DocumentForm::ALL {
        assert_eq!(raised(Event::DocumentSent(form)).len(), 1, "{form:?}");
    }
}
