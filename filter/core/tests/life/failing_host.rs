//! A host whose calls fail: a request whose claims cannot be seen or removed
//! goes no further, and no 404 is lost.

use filter_core::mock::{Call, GOLDEN, MockProxy};
use filter_core::{Action, Certificate};

use crate::setup::*;

const CLAIM: (&str, &str) = ("x-remote-user", "admin");

fn golden(failing: Call) -> MockProxy {
    MockProxy::golden().failing(failing)
}

/// Asserts that the client reads that the proxy failed, and not that no server is there.
fn assert_refused(proxy: &MockProxy) {
    let stream = proxy.stream(STREAM);
    assert_eq!(stream.codes(), [503]);
    let text = stream.replies[0].text();
    assert!(text.contains("the proxy failed to process this request"), "{text}");
}

#[test]
fn a_request_whose_headers_cannot_be_read_goes_no_further() {
    let proxy = golden(Call::Headers);
    assert_eq!(proxy.get(STREAM, COMMON), Action::Pause);
    assert_refused(&proxy);
}

#[test]
fn a_request_whose_claims_cannot_be_removed_goes_no_further() {
    let proxy = golden(Call::ReplaceHeaders);
    let request = [(":method", "POST"), (":path", COMMON), CLAIM];
    assert_eq!(proxy.request(STREAM, &request), Action::Pause);
    assert_refused(&proxy);
}

#[test]
fn a_request_without_claims_does_not_need_its_headers_replaced() {
    assert_eq!(golden(Call::ReplaceHeaders).get(STREAM, COMMON), Action::Continue);
}

#[test]
fn a_request_that_cannot_be_sent_to_its_cluster_goes_no_further() {
    let proxy = golden(Call::SetClusterHeader);
    assert_eq!(proxy.get(STREAM, SKEWED), Action::Pause);
    assert_refused(&proxy);
}

#[test]
fn a_request_for_the_default_cluster_needs_no_cluster_header() {
    assert_eq!(golden(Call::SetClusterHeader).get(STREAM, COMMON), Action::Continue);
}

#[test]
fn a_request_whose_interest_cannot_be_kept_goes_no_further() {
    for path in ["/openapi/v3/apis/nosuch.io/v1", "/healthz"] {
        let proxy = golden(Call::SetFilterState);
        assert_eq!(proxy.get(STREAM, path), Action::Pause, "{path}");
        assert_refused(&proxy);
    }
}

#[test]
fn a_request_that_keeps_no_interest_goes_on() {
    assert_eq!(golden(Call::SetFilterState).get(STREAM, COMMON), Action::Continue);
}

#[test]
fn an_access_check_that_cannot_be_written_goes_no_further() {
    let proxy = golden(Call::ReplaceHeaders);
    get_discovery(&proxy, STREAM);
    assert_refused(&proxy);
}

#[test]
fn a_certificate_that_cannot_be_read_is_answered_401_and_never_anonymous() {
    let certificate = Certificate { subject: "CN=j".into(), sha256: "00".into() };
    for certificate in [Some(certificate), None] {
        let proxy = golden(Call::ClientCertificate);
        proxy.change(STREAM, |stream| stream.certificate.clone_from(&certificate));
        let hint = ("x-forwarded-client-cert", "");
        let action = proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), hint, CLAIM]);
        assert_eq!(action, Action::Pause);
        let stream = proxy.stream(STREAM);
        assert_eq!(stream.codes(), [401]);
        assert!(stream.replies[0].text().contains("the client certificate cannot be read"));
        assert_eq!(proxy.metric("client_certificates_refused_total"), Some(1));
    }
}

#[test]
fn trailers_that_cannot_be_read_end_the_request() {
    let proxy = golden(Call::Headers);
    assert_eq!(proxy.trailers(STREAM, &[("x", "y")]), Action::Pause);
    assert_refused(&proxy);
}

#[test]
fn trailers_whose_claims_cannot_be_removed_end_the_request() {
    let proxy = golden(Call::ReplaceHeaders);
    assert_eq!(proxy.trailers(STREAM, &[CLAIM]), Action::Pause);
    assert_refused(&proxy);
}

#[test]
fn a_404_whose_note_cannot_be_read_is_not_believed() {
    let proxy = golden(Call::FilterState);
    proxy.get(STREAM, "/healthz");
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_404_held_for_its_body_is_not_believed_if_its_note_is_lost() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, UNKNOWN);
    proxy.response(STREAM, &PLAIN_404, false);
    let proxy = proxy.failing(Call::FilterState);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_response_whose_status_cannot_be_read_passes() {
    let proxy = golden(Call::ResponseHeader);
    proxy.get(STREAM, COMMON);
    assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Continue);
}

#[test]
fn a_body_that_cannot_be_read_is_not_type_level() {
    let proxy = golden(Call::ResponseBody);
    proxy.get(STREAM, COMMON);
    proxy.response(STREAM, &PLAIN_404, false);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, false), Action::Pause);
    assert_eq!(proxy.body(STREAM, b"", true), Action::Continue);
}

#[test]
fn a_response_whose_origin_cannot_be_read_passes() {
    let proxy = golden(Call::IsFromServer);
    get_discovery(&proxy, STREAM);
    assert_eq!(proxy.response(STREAM, &[(":status", "200")], true), Action::Continue);
}

#[test]
fn a_merged_document_is_sent_also_if_the_servers_headers_cannot_be_read() {
    let proxy = MockProxy::golden();
    get_discovery(&proxy, STREAM);
    let proxy = proxy.failing(Call::Headers);
    assert_eq!(proxy.response(STREAM, &[(":status", "200")], true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn an_answer_that_the_host_does_not_send_still_stops_the_stream() {
    let proxy = golden(Call::Respond);
    assert_eq!(proxy.get(STREAM, UNAVAILABLE), Action::Pause);
    assert!(proxy.stream(STREAM).replies.is_empty());
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    let proxy = golden(Call::Configuration);
    assert!(proxy.configure(GOLDEN).is_err());
    assert_eq!(proxy.get(STREAM, COMMON), Action::Continue);
}

#[test]
fn without_a_tick_requests_are_decided_all_the_same() {
    let proxy = MockProxy::default().failing(Call::TickEvery);
    assert_eq!(proxy.configure(GOLDEN), Ok(()));
    assert_eq!(proxy.get(STREAM, COMMON), Action::Continue);
}

#[test]
fn without_metrics_requests_are_decided_all_the_same() {
    let proxy = MockProxy::default().failing(Call::DefineMetric);
    assert_eq!(proxy.configure(GOLDEN), Ok(()));
    proxy.get(STREAM, COMMON);
    proxy.response(STREAM, &PLAIN_404_HEAD, true);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
    assert_eq!(proxy.metric("not_found_replaced_total"), None);
}

#[test]
fn without_counting_requests_are_decided_all_the_same() {
    for failing in [Call::Add, Call::Record] {
        let proxy = MockProxy::default().failing(failing);
        assert_eq!(proxy.configure(GOLDEN), Ok(()));
        proxy.get(STREAM, COMMON);
        proxy.response(STREAM, &PLAIN_404_HEAD, true);
        assert_eq!(proxy.stream(STREAM).codes(), [503]);
    }
}
