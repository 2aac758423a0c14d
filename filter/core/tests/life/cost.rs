//! What a request costs in calls to the host. Each call costs more than all the
//! filter's own work.

use filter_core::Certificate;
use filter_core::mock::{Call, MockProxy};

use crate::setup::*;

/// A filter whose metrics are defined, and whose calls so far are forgotten.
fn proxy() -> MockProxy {
    let proxy = MockProxy::golden();
    let _ = proxy.calls();
    proxy
}

#[test]
fn a_common_request_costs_one_call() {
    let proxy = proxy();
    proxy.get(STREAM, COMMON);
    assert_eq!(proxy.calls(), [Call::Headers]);
}

#[test]
fn a_skewed_request_costs_three_calls() {
    let proxy = proxy();
    proxy.get(STREAM, SKEWED);
    assert_eq!(proxy.calls(), [Call::Headers, Call::SetFilterState, Call::SetClusterHeader]);
}

#[test]
fn an_unknown_type_costs_as_much_as_a_skewed_one() {
    let proxy = proxy();
    proxy.get(STREAM, UNKNOWN);
    assert_eq!(proxy.calls(), [Call::Headers, Call::SetFilterState, Call::SetClusterHeader]);
}

#[test]
fn a_claim_costs_one_call_to_remove_and_one_to_count() {
    let proxy = proxy();
    proxy.request(STREAM, &[(":method", "GET"), (":path", SKEWED), ("x-remote-user", "admin")]);
    let [headers, state] = [Call::Headers, Call::SetFilterState];
    assert_eq!(proxy.calls(), [headers, state, Call::Add, Call::ReplaceHeaders]);
}

#[test]
fn a_certificate_costs_one_read_and_one_replacement() {
    let proxy = proxy();
    proxy.change(STREAM, |stream| {
        let sha256 = "0".repeat(64).into();
        stream.certificate = Some(Certificate { subject: "CN=jane".into(), sha256 });
    });
    proxy
        .request(STREAM, &[(":method", "GET"), (":path", SKEWED), ("x-forwarded-client-cert", "")]);
    let [headers, state] = [Call::Headers, Call::SetFilterState];
    assert_eq!(proxy.calls(), [headers, Call::ClientCertificate, state, Call::ReplaceHeaders]);
}

#[test]
fn a_request_for_a_merged_document_costs_four_calls() {
    let proxy = proxy();
    get_discovery(&proxy, STREAM);
    let state = Call::SetFilterState;
    assert_eq!(proxy.calls(), [Call::Headers, state, state, Call::ReplaceHeaders]);
}

#[test]
fn a_response_that_passes_costs_four_calls() {
    let proxy = proxy();
    proxy.response(STREAM, &[(":status", "200")], false);
    let origin = Call::IsFromServer;
    assert_eq!(proxy.calls(), [Call::ResponseHeader, Call::FilterState, origin, Call::FilterState]);
}

#[test]
fn a_404_that_is_held_costs_two_calls_more() {
    let proxy = proxy();
    proxy.response(STREAM, &PLAIN_404, false);
    let header = Call::ResponseHeader;
    assert_eq!(proxy.calls(), [header, Call::FilterState, header, header]);
}

#[test]
fn a_chunk_of_a_held_body_costs_one_call() {
    let proxy = proxy();
    proxy.response(STREAM, &PLAIN_404, false);
    let _ = proxy.calls();
    proxy.body(STREAM, b"404", false);
    assert_eq!(proxy.calls(), [Call::ResponseBody]);
}

#[test]
fn a_body_that_is_not_held_costs_no_call() {
    let proxy = proxy();
    proxy.body(STREAM, b"x", false);
    assert_eq!(proxy.calls(), []);
}

#[test]
fn a_merged_document_costs_seven_calls() {
    let proxy = proxy();
    get_discovery(&proxy, STREAM);
    let _ = proxy.calls();
    proxy.response(STREAM, &[(":status", "304")], true);
    let state = Call::FilterState;
    let read = [Call::ResponseHeader, state, Call::IsFromServer, state, Call::Headers];
    assert_eq!(proxy.calls(), [&read[..], &[Call::Add, Call::Respond]].concat());
}

#[test]
fn clean_trailers_cost_one_call() {
    let proxy = proxy();
    proxy.trailers(STREAM, &[("x", "y")]);
    assert_eq!(proxy.calls(), [Call::Headers]);
}

#[test]
fn a_tick_costs_one_call_for_each_reason_that_was_met() {
    let proxy = proxy();
    proxy.get(STREAM, COMMON);
    proxy.get(STREAM, COMMON);
    proxy.get(STREAM, "/healthz");
    let _ = proxy.calls();
    proxy.tick();
    let end = [Call::RootId, Call::StopTicks];
    assert_eq!(proxy.calls(), [&[Call::Add, Call::Add], &end[..]].concat());
    proxy.tick();
    assert_eq!(proxy.calls(), end);
}
