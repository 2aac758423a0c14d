//! What the filter does, and what it only counts, in the modes other than `enforce`.

use filter_core::mock::{Call, MockProxy};
use filter_core::{Action, Certificate};
use serde_json::json;

use crate::setup::*;

const CLUSTER: &str = "x-mixed-version-proxy-cluster";

fn in_mode(mode: &str) -> MockProxy {
    MockProxy::with_map(&map(mode))
}

fn map(mode: &str) -> String {
    changed(|map| map["mode"] = json!(mode))
}

fn withheld(proxy: &MockProxy, what: &str) -> u64 {
    proxy.metric(&format!("withheld_{what}")).unwrap()
}

#[test]
fn shadow_mode_changes_no_request_of_a_client_without_a_certificate() {
    let proxy = in_mode("shadow");
    let paths = [COMMON, SKEWED, UNKNOWN, UNAVAILABLE, "/healthz", "/apis", "/openapi/v2"];
    for (stream, path) in (1..).map(StreamId).zip(paths) {
        let headers =
            [(":method", "GET"), (":path", path), ("accept", AGGREGATED), ("te", "trailers")];
        assert_eq!(proxy.request(stream, &headers), Action::Continue, "{path}");
        let after = proxy.stream(stream);
        assert_eq!(after.request, filter_core::mock::fields(&headers), "{path}");
        assert!(after.codes().is_empty(), "{path}");
    }
    assert_eq!(withheld(&proxy, "requests_total.outcome.rerouted"), 2);
    assert_eq!(withheld(&proxy, "requests_total.outcome.merged"), 1);
    assert_eq!(withheld(&proxy, "requests_total.outcome.refused"), 1);
    // Decisions are counted as in every mode.
    assert_eq!(proxy.metric("requests_total.decision.skewed"), Some(1));
}

#[test]
fn in_shadow_mode_a_certificate_still_becomes_the_clients_identity() {
    let proxy = in_mode("shadow");
    proxy.change(STREAM, |stream| {
        let sha256 = "0".repeat(64).into();
        stream.certificate = Some(Certificate { subject: "CN=jane".into(), sha256 });
    });
    let hint = ("x-forwarded-client-cert", "");
    proxy.request(STREAM, &[(":method", "GET"), (":path", SKEWED), hint]);
    let stream = proxy.stream(STREAM);
    assert_eq!(stream.sent(CLUSTER).as_deref(), Some("kube-apiserver__front-proxy"));
    assert_eq!(stream.sent("x-remote-user").as_deref(), Some("jane"));
}

#[test]
fn in_shadow_mode_claims_are_removed_as_ever() {
    let proxy = in_mode("shadow");
    let claim = ("x-remote-user", "admin");
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), claim]);
    assert_eq!(proxy.stream(STREAM).sent("x-remote-user"), None);
    assert_eq!(proxy.stream(STREAM).sent(CLUSTER), None);
    proxy.trailers(STREAM, &[claim]);
    assert!(proxy.stream(STREAM).trailers.is_empty());
}

#[test]
fn in_shadow_mode_wrong_404s_pass_at_once_and_are_counted() {
    let proxy = in_mode("shadow");
    proxy.get(STREAM, SKEWED);
    assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Continue);
    let (first, rest) = TYPE_LEVEL.split_at(4);
    assert_eq!(proxy.body(STREAM, first, false), Action::Continue);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.prevented"), 0);
    assert_eq!(proxy.body(STREAM, rest, true), Action::Continue);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.prevented"), 1);
    // Twice is not counted twice.
    proxy.body(STREAM, TYPE_LEVEL, true);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.prevented"), 1);

    proxy.get(STREAM, UNAVAILABLE);
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Continue);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.replaced"), 1);
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(0));
    assert!(proxy.stream(STREAM).codes().is_empty());
}

#[test]
fn in_shadow_mode_trailers_end_a_404_too() {
    let proxy = in_mode("shadow");
    proxy.get(STREAM, COMMON);
    proxy.response(STREAM, &PLAIN_404, false);
    proxy.body(STREAM, TYPE_LEVEL, false);
    proxy.change(STREAM, |stream| stream.body.clear());
    assert_eq!(proxy.trailers_of_response(STREAM), Action::Continue);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.prevented"), 1);
}

#[test]
fn in_shadow_mode_true_404s_are_not_counted() {
    let proxy = in_mode("shadow");
    let long = "x".repeat(2000);
    for (path, body) in
        [(UNKNOWN, TYPE_LEVEL), (COMMON, b"no such object"), (COMMON, long.as_bytes())]
    {
        proxy.get(STREAM, path);
        assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Continue);
        assert_eq!(proxy.body(STREAM, body, true), Action::Continue, "{path}");
    }
    proxy.get(STREAM, COMMON);
    let announced = [PLAIN_404[0], PLAIN_404[1], ("content-length", "2000")];
    assert_eq!(proxy.response(STREAM, &announced, false), Action::Continue);
    for outcome in ["prevented", "replaced"] {
        assert_eq!(withheld(&proxy, &format!("not_found_total.outcome.{outcome}")), 0);
    }
}

#[test]
fn in_shadow_mode_the_filter_at_the_server_asks_no_other_one() {
    let proxy = in_mode("shadow");
    for path in [COMMON, UNKNOWN, UNAVAILABLE] {
        proxy.get(STREAM, path);
        let at_server = proxy.at_server();
        let state = proxy.stream(STREAM).filter_state;
        at_server.change(STREAM, |stream| {
            stream.filter_state = state;
            stream.server = "10.0.0.1:6443".to_owned();
            stream.cluster = "kube-apiserver".to_owned();
        });
        assert_eq!(at_server.response(STREAM, &PLAIN_404, false), Action::Continue, "{path}");
        at_server.body(STREAM, TYPE_LEVEL, true);
        assert!(!at_server.stream(STREAM).is_marked, "{path}");
    }
}

#[test]
fn rerouting_routes_and_merges() {
    let proxy = in_mode("reroute");
    proxy.get(STREAM, SKEWED);
    assert_eq!(proxy.stream(STREAM).sent(CLUSTER).as_deref(), Some("kube-apiserver_cp-2"));
    get_discovery(&proxy, STREAM);
    proxy.response(STREAM, &[(":status", "304")], true);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn rerouting_asks_other_servers_and_lets_the_last_404_pass() {
    let proxy = in_mode("reroute");
    for (stream, path) in [(STREAM, UNAVAILABLE), (StreamId(2), COMMON)] {
        proxy.get(stream, path);
        let at_server = proxy.at_server();
        let state = proxy.stream(stream).filter_state;
        at_server.change(stream, |own| {
            own.filter_state = state;
            own.server = "10.0.0.1:6443".to_owned();
            own.cluster = "kube-apiserver__rotation".to_owned();
        });
        at_server.response(stream, &PLAIN_404, false);
        at_server.body(stream, TYPE_LEVEL, true);
        assert!(at_server.stream(stream).is_marked, "{path}");

        assert_eq!(proxy.response(stream, &PLAIN_404, false), Action::Pause);
        assert_eq!(proxy.body(stream, TYPE_LEVEL, true), Action::Continue, "{path}");
        assert!(proxy.stream(stream).codes().is_empty());
    }
    assert_eq!(withheld(&proxy, "not_found_total.outcome.replaced"), 2);
    assert_eq!(withheld(&proxy, "requests_total.outcome.refused"), 1);
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(0));
}

#[test]
fn the_mode_at_its_headers_decides_a_request_to_its_end() {
    let proxy = in_mode("enforce");
    let shadowed = StreamId(2);
    proxy.get(STREAM, SKEWED);
    proxy.configure(&map("shadow")).unwrap();
    proxy.get(shadowed, SKEWED);
    proxy.response(STREAM, &PLAIN_404, false);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);

    proxy.configure(&map("enforce")).unwrap();
    assert_eq!(proxy.response(shadowed, &PLAIN_404, false), Action::Continue);
    assert_eq!(proxy.body(shadowed, TYPE_LEVEL, true), Action::Continue);
    assert_eq!(withheld(&proxy, "not_found_total.outcome.prevented"), 1);
}

#[test]
fn a_document_that_a_client_waits_for_is_sent_after_a_switch_to_shadow_mode() {
    let proxy = in_mode("enforce");
    get_discovery(&proxy, STREAM);
    proxy.configure(&map("shadow")).unwrap();
    proxy.response(STREAM, &[(":status", "304")], true);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn the_mode_costs_an_enforced_request_nothing_and_others_one_call() {
    for (mode, calls) in [
        ("enforce", &[Call::Headers][..]),
        ("reroute", &[Call::Headers, Call::SetFilterState]),
        ("shadow", &[Call::Headers, Call::SetFilterState]),
    ] {
        let proxy = in_mode(mode);
        proxy.get(StreamId(9), COMMON);
        let _ = proxy.calls();
        proxy.get(STREAM, COMMON);
        assert_eq!(proxy.calls(), calls, "{mode}");
    }
}
