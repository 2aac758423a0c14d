//! Which counter an event raises.

use discovery_map::{Absence, DocumentForm};

use super::{EVENTS, Event};
use crate::mock::MockProxy;
use crate::verdict::Verdict;

/// The counters that one event raises, after `mixed_version_proxy_`, with their
/// values.
fn raised(event: Event) -> Vec<(String, u64)> {
    let proxy = MockProxy::default();
    proxy.filter.count(event);
    let metrics = proxy.host.state().metrics.clone();
    let raised = metrics.into_iter().filter(|(_, value)| *value > 0);
    raised.map(|(name, value)| (name.replace("mixed_version_proxy_", ""), value)).collect()
}

#[test]
fn each_event_raises_its_own_counter_by_one() {
    let form = |form| Event::DocumentSent(form);
    let answered = |absence| Event::AbsenceQueried(Verdict::Answered(absence));
    let expected = [
        (Event::NotFoundReplaced, "not_found_replaced_total"),
        (Event::ClaimsRemoved, "requests_with_identity_headers_removed_total"),
        (Event::CertificateRefused, "client_certificates_refused_total"),
        (form(DocumentForm::Plain), "merged_documents_total.form.plain"),
        (form(DocumentForm::AggregatedV2), "merged_documents_total.form.aggregated_v2"),
        (form(DocumentForm::AggregatedV2beta1), "merged_documents_total.form.aggregated_v2beta1"),
        (form(DocumentForm::Protobuf), "merged_documents_total.form.protobuf"),
        (answered(Absence::Absent), "absence_questions_total.verdict.absent"),
        (answered(Absence::Served), "absence_questions_total.verdict.served"),
        (answered(Absence::Unclear), "absence_questions_total.verdict.unclear"),
        (Event::AbsenceQueried(Verdict::NoAnswer), "absence_questions_total.verdict.no_answer"),
    ];
    assert_eq!(expected.len(), EVENTS.len());
    for (event, name) in expected {
        assert_eq!(raised(event), [(name.to_owned(), 1)], "{event:?}");
    }
}

#[test]
fn every_form_and_every_answer_has_a_counter() {
    for form in DocumentForm::ALL {
        assert_eq!(raised(Event::DocumentSent(form)).len(), 1, "{form:?}");
    }
    for absence in Absence::ALL {
        let name = format!("absence_questions_total.verdict.{}", absence.as_str());
        let event = Event::AbsenceQueried(Verdict::Answered(absence));
        assert_eq!(raised(event), [(name, 1)]);
    }
}
