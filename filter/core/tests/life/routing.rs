//! Where requests go, and what is kept for their responses.

use filter_core::Action;
use filter_core::mock::MockProxy;

use routing::interest::STATE;

use crate::setup::*;

const CLUSTER: &str = "x-mixed-version-proxy-cluster";

/// What the filter keeps as its interest in the response, with `|` for NUL.
fn interest(proxy: &MockProxy) -> Option<String> {
    let state = proxy.stream(STREAM).filter_state;
    Some(String::from_utf8(state.get(STATE)?.clone()).unwrap().replace('\0', "|"))
}

#[test]
fn a_type_that_all_servers_serve_needs_no_header() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.get(STREAM, COMMON), Action::Continue);
    assert_eq!(proxy.stream(STREAM).request.len(), 2);
}

#[test]
fn a_type_that_some_servers_serve_goes_to_their_cluster() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.get(STREAM, SKEWED), Action::Continue);
    assert_eq!(proxy.stream(STREAM).sent(CLUSTER).as_deref(), Some("kube-apiserver_cp-2"));
}

#[test]
fn a_type_whose_servers_are_out_of_rotation_is_answered_503() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.get(STREAM, UNAVAILABLE), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!(reply.code, 503);
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-cache, private");
}

#[test]
fn a_protobuf_client_gets_its_503_in_protobuf() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", UNAVAILABLE), ("accept", PROTOBUF)]);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!(reply.header("content-type"), "application/vnd.kubernetes.protobuf");
    assert!(reply.body.starts_with(b"k8s\0"));
}

#[test]
fn the_first_accept_header_counts() {
    let proxy = MockProxy::golden();
    let path = (":path", UNAVAILABLE);
    let accept = [("accept", "application/json"), ("accept", PROTOBUF)];
    proxy.request(STREAM, &[(":method", "GET"), path, accept[0], accept[1]]);
    assert_eq!(proxy.stream(STREAM).replies[0].header("content-type"), "application/json");
}

#[test]
fn a_request_without_a_method_goes_no_further() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.request(STREAM, &[(":path", COMMON)]), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_request_without_a_path_goes_no_further() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.request(STREAM, &[(":method", "GET")]), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn most_requests_keep_nothing_for_the_response() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, COMMON);
    assert_eq!(interest(&proxy), None);
}

#[test]
fn a_protobuf_request_keeps_its_encoding() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), ("accept", PROTOBUF)]);
    assert_eq!(interest(&proxy).as_deref(), Some("not-found|protobuf"));
}

#[test]
fn a_request_that_is_not_for_an_api_keeps_that_nothing_matters() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, "/healthz");
    assert_eq!(interest(&proxy).as_deref(), Some("nothing"));
}

#[test]
fn a_request_for_an_openapi_document_keeps_that_a_404_may_be_empty() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, "/openapi/v3/apis/nosuch.io/v1");
    assert_eq!(interest(&proxy).as_deref(), Some("not-found|json|empty"));
}

#[test]
fn a_post_for_discovery_is_routed_as_it_is() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "POST"), (":path", "/apis"), ("accept", AGGREGATED)]);
    assert_eq!(interest(&proxy), None);
    assert_eq!(proxy.stream(STREAM).sent("accept").as_deref(), Some(AGGREGATED));
}

#[test]
fn requests_are_counted_by_their_reason() {
    let proxy = MockProxy::golden();
    for path in [COMMON, COMMON, SKEWED, UNKNOWN, UNAVAILABLE, "/healthz", "/apis"] {
        proxy.get(STREAM, path);
    }
    for (reason, count) in [
        ("common", 2),
        ("skewed", 1),
        ("unknown", 1),
        ("unavailable", 1),
        ("not_an_api", 1),
        ("discovery", 1),
        ("undetermined", 0),
    ] {
        let name = format!("requests_total.decision.{reason}");
        assert_eq!(proxy.metric(&name), Some(count), "{reason}");
    }
}

#[test]
fn a_request_for_a_merged_document_is_counted_as_discovery() {
    let proxy = MockProxy::golden();
    get_discovery(&proxy, STREAM);
    assert_eq!(proxy.metric("requests_total.decision.discovery"), Some(1));
}
