//! Merged documents: the server is asked whether the client may read, and the
//! filter answers.

use filter_core::Action;
use filter_core::mock::MockProxy;

use crate::setup::*;

const ETAG: &str = "\"94504FDB34B85EC3658FC622F734912738ACCDEC875326DF4B13544D2DB54836747F40B1A130A6279E85C82CCB86C945A9378F207FC686B7E2ECDB39299F39C7\"";

/// A filter that waits for the answer to an access check.
fn waiting() -> MockProxy {
    let proxy = MockProxy::golden();
    get_discovery(&proxy, STREAM);
    proxy
}

fn answered(proxy: &MockProxy, status: &str) -> Action {
    proxy.response(STREAM, &[(":status", status), ("audit-id", "7"), ("etag", "\"A\"")], true)
}

#[test]
fn the_access_check_asks_for_the_servers_own_document() {
    let proxy = waiting();
    let stream = proxy.stream(STREAM);
    let accept = stream.sent("accept").unwrap();
    assert!(accept.starts_with("application/json;g=apidiscovery.k8s.io;v=v2;profile=nopeer;"));
    assert_eq!(stream.sent("if-none-match").as_deref(), Some("\"A74552DF\""));
    let cluster = stream.sent("x-mixed-version-proxy-cluster");
    assert_eq!(cluster.as_deref(), Some("kube-apiserver_cp-2"));
}

#[test]
fn the_access_check_drops_what_is_about_the_clients_document() {
    let proxy = MockProxy::golden();
    proxy.request(
        STREAM,
        &[
            (":method", "GET"),
            (":path", "/apis"),
            ("accept", AGGREGATED),
            ("accept-encoding", "gzip"),
            ("if-none-match", "\"mine\""),
            ("if-modified-since", "now"),
            ("if-range", "x"),
            ("range", "bytes=0-1"),
            ("authorization", "Bearer t"),
        ],
    );
    let stream = proxy.stream(STREAM);
    for name in ["accept-encoding", "if-modified-since", "if-range", "range"] {
        assert_eq!(stream.sent(name), None, "{name}");
    }
    assert_eq!(stream.sent("authorization").as_deref(), Some("Bearer t"));
    assert_eq!(stream.sent("if-none-match").as_deref(), Some("\"A74552DF\""));
}

#[test]
fn a_200_becomes_the_merged_document() {
    let proxy = waiting();
    assert_eq!(answered(&proxy, "200"), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!(reply.code, 200);
    assert!(reply.text().starts_with("{\"kind\":\"APIGroupDiscoveryList\""));
    assert_eq!(reply.header("etag"), ETAG);
    assert_eq!(reply.header("audit-id"), "7");
    assert_eq!(proxy.metric("merged_documents_total.form.aggregated_v2"), Some(1));
}

#[test]
fn a_304_becomes_the_merged_document() {
    let proxy = waiting();
    assert_eq!(answered(&proxy, "304"), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn a_client_that_has_the_merged_document_gets_304() {
    let proxy = MockProxy::golden();
    let etag = ("if-none-match", ETAG);
    proxy.request(STREAM, &[(":method", "GET"), (":path", "/apis"), ("accept", AGGREGATED), etag]);
    answered(&proxy, "200");
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!((reply.code, &*reply.body), (304, &b""[..]));
}

#[test]
fn an_answer_that_refuses_access_passes() {
    for status in ["401", "403", "406", "429", "500", "503"] {
        let proxy = waiting();
        assert_eq!(answered(&proxy, status), Action::Continue, "{status}");
        assert!(proxy.stream(STREAM).replies.is_empty());
    }
}

#[test]
fn an_answer_of_envoys_own_passes() {
    let proxy = waiting();
    proxy.change(STREAM, |stream| {
        stream.response = vec![(b":status".to_vec(), b"200".to_vec())];
        stream.is_from_server = false;
    });
    assert_eq!(proxy.filters.on_response_headers(STREAM, true), Action::Continue);
}

#[test]
fn a_type_level_404_to_an_access_check_becomes_503() {
    let proxy = waiting();
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_document_that_a_push_took_away_is_answered_503() {
    let proxy = waiting();
    let without = changed(|map| map["documents"] = serde_json::json!([]));
    proxy.configure(&without).unwrap();
    assert_eq!(answered(&proxy, "200"), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(0));
}

#[test]
fn a_document_that_a_push_left_is_shared_and_sent() {
    let proxy = waiting();
    proxy.configure(&changed(|map| map["generation"] = 43.into())).unwrap();
    answered(&proxy, "200");
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn a_client_with_claims_gets_the_document_as_itself() {
    let proxy = MockProxy::golden();
    let claim = ("x-remote-user", "admin");
    proxy.request(STREAM, &[(":method", "GET"), (":path", "/apis"), ("accept", AGGREGATED), claim]);
    assert_eq!(proxy.stream(STREAM).sent("x-remote-user"), None);
}

#[test]
fn head_is_answered_like_get() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "HEAD"), (":path", "/apis"), ("accept", AGGREGATED)]);
    answered(&proxy, "304");
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn each_client_gets_the_document_in_its_encoding() {
    let typed = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let table = [
        ("application/json", "kubectl", "{\"kind\":\"APIGroupDiscoveryList\""),
        ("application/json", "curl/8.14", "{\n  \"kind\": \"APIGroupDiscoveryList\""),
        ("application/yaml", "kubectl", "apiVersion: apidiscovery.k8s.io/v2\nitems: []\n"),
        ("application/vnd.kubernetes.protobuf", "kubectl", "k8s\0"),
    ];
    for (media_type, user_agent, begin) in table {
        let proxy = MockProxy::golden();
        let accept = format!("{media_type};{typed}");
        let headers = [(":method", "GET"), (":path", "/apis"), ("accept", &accept)];
        proxy.request(STREAM, &[&headers[..], &[("user-agent", user_agent)]].concat());
        answered(&proxy, "200");
        let reply = &proxy.stream(STREAM).replies[0];
        assert!(reply.text().starts_with(begin), "{media_type}: {}", reply.text());
        assert_eq!((reply.header("etag"), reply.header("content-type")), (ETAG.into(), accept));
    }
}

#[test]
fn a_client_that_wants_another_form_is_not_checked() {
    let proxy = MockProxy::golden();
    proxy
        .request(STREAM, &[(":method", "GET"), (":path", "/apis"), ("accept", "application/yaml")]);
    let stream = proxy.stream(STREAM);
    assert_eq!(stream.sent("accept").as_deref(), Some("application/yaml"));
    assert_eq!(answered(&proxy, "200"), Action::Continue);
}

#[test]
fn an_open_api_document_is_checked_without_its_hash_and_redirected_to_the_right_one() {
    let map = changed(|map| {
        let mut document = map["documents"][0].clone();
        document["path"] = "/openapi/v3/apis/g/v1".into();
        document["form"] = "protobuf".into();
        map["documents"].as_array_mut().unwrap().push(document);
    });
    let proxy = MockProxy::with_map(&map);
    let merged = ETAG.trim_matches('"');
    let accept = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    for (hash, code) in [("", 200), (merged, 200), ("A74552DF", 301)] {
        let path = format!("/openapi/v3/apis/g/v1?hash={hash}");
        proxy.request(STREAM, &[(":method", "GET"), (":path", &path), ("accept", accept)]);
        let stream = proxy.stream(STREAM);
        assert_eq!(stream.sent(":path").as_deref(), Some("/openapi/v3/apis/g/v1"));
        assert_eq!(stream.sent(":method").as_deref(), Some("GET"));
        assert_eq!(stream.sent("accept").as_deref(), Some("application/json"));
        assert_eq!(stream.sent("if-none-match").as_deref(), Some("\"A74552DF\""));
        assert_eq!(answered(&proxy, "304"), Action::Pause);
        let stream = proxy.stream(STREAM);
        let reply = stream.replies.last().unwrap();
        assert_eq!(reply.code, code, "{hash}");
        assert_eq!(reply.header("etag"), ETAG);
        if code == 301 {
            let expected = format!("/openapi/v3/apis/g/v1?hash={merged}");
            assert_eq!(reply.header("location"), expected);
        }
    }
    assert_eq!(proxy.metric("merged_documents_total.form.openapi_protobuf"), Some(3));
}
