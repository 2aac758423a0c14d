//! A server's own document that is newer than the map: what it adds is sent too.

use filter_core::mock::MockProxy;
use filter_core::{Action, MAX_BODIES, MAX_BODY_BYTES};

use crate::setup::*;

/// The `ETag` of the document that the golden map was made of.
const KNOWN: &str = "\"A74552DF\"";
const NEW: &str = "\"NEW\"";
const OTHER: StreamId = StreamId(2);
const BODY: &str = "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\
    \"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"new.example.com\"}}]}\n";

fn headers(proxy: &MockProxy, stream: StreamId, etag: &str) -> Action {
    get_discovery(proxy, stream);
    proxy.response(stream, &[(":status", "200"), ("etag", etag)], false)
}

/// The body of the filter's answer to a client whose server sent this document.
fn answered(proxy: &MockProxy, body: &str) -> String {
    assert_eq!(headers(proxy, STREAM, NEW), Action::Pause);
    assert!(proxy.stream(STREAM).replies.is_empty());
    assert_eq!(proxy.body(STREAM, body.as_bytes(), true), Action::Drop);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
    proxy.stream(STREAM).replies[0].text()
}

fn extended(proxy: &MockProxy) -> Option<u64> {
    proxy.metric("merged_documents_extended_total")
}

#[test]
fn a_type_that_only_the_server_lists_is_sent() {
    let proxy = MockProxy::golden();
    assert_eq!(answered(&proxy, BODY), BODY);
    let etag = proxy.stream(STREAM).replies[0].header("etag");
    assert!(etag.starts_with("\"94504FDB") && etag.ends_with(".NEW\""), "{etag}");
    assert_eq!(extended(&proxy), Some(1));
    assert_eq!(proxy.metric("merged_documents_total.form.aggregated_v2"), Some(1));
}

#[test]
fn a_document_that_adds_nothing_leaves_the_merged_one() {
    for body in ["{\"items\":[]}", "not JSON", ""] {
        let proxy = MockProxy::golden();
        assert!(answered(&proxy, body).ends_with("\"items\":[]}\n"), "{body}");
        assert!(!proxy.stream(STREAM).replies[0].header("etag").contains("NEW"));
        assert_eq!(extended(&proxy), Some(0));
    }
}

#[test]
fn the_document_that_the_map_was_made_of_is_not_read() {
    let proxy = MockProxy::golden();
    assert_eq!(headers(&proxy, STREAM, KNOWN), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [200]);
}

#[test]
fn a_document_is_read_once() {
    let proxy = MockProxy::golden();
    answered(&proxy, BODY);
    headers(&proxy, OTHER, NEW);
    assert_eq!(proxy.stream(OTHER).replies[0].text(), BODY);
    assert_eq!(extended(&proxy), Some(2));
}

#[test]
fn a_document_without_an_etag_is_read_each_time() {
    let proxy = MockProxy::golden();
    for stream in [STREAM, OTHER] {
        get_discovery(&proxy, stream);
        assert_eq!(proxy.response(stream, &[(":status", "200")], false), Action::Pause);
        proxy.body(stream, BODY.as_bytes(), true);
        assert_eq!(proxy.stream(stream).replies[0].text(), BODY);
    }
}

#[test]
fn a_client_that_has_the_extended_document_gets_304() {
    let proxy = MockProxy::golden();
    answered(&proxy, BODY);
    let etag = proxy.stream(STREAM).replies[0].header("etag");
    let discovery = [(":method", "GET"), (":path", "/apis"), ("accept", AGGREGATED)];
    proxy.request(OTHER, &[&discovery[..], &[("if-none-match", &etag)]].concat());
    proxy.response(OTHER, &[(":status", "200"), ("etag", NEW)], false);
    assert_eq!(proxy.stream(OTHER).codes(), [304]);
}

#[test]
fn a_new_map_has_no_additions_yet() {
    let proxy = MockProxy::golden();
    answered(&proxy, BODY);
    proxy.configure(&changed(|map| map["generation"] = 43.into())).unwrap();
    headers(&proxy, OTHER, NEW);
    assert!(proxy.stream(OTHER).replies.is_empty());
}

#[test]
fn a_body_comes_in_chunks_which_the_host_drops() {
    let proxy = MockProxy::golden();
    headers(&proxy, STREAM, NEW);
    for byte in BODY.bytes() {
        assert_eq!(proxy.body(STREAM, &[byte], false), Action::Drop);
        assert!(proxy.stream(STREAM).replies.is_empty());
    }
    assert_eq!(proxy.trailers_of_response(STREAM), Action::Pause);
    assert_eq!(proxy.stream(STREAM).replies[0].text(), BODY);
}

#[test]
fn the_merged_document_is_sent_when_the_servers_is_too_large() {
    let proxy = MockProxy::golden();
    headers(&proxy, STREAM, NEW);
    assert_eq!(proxy.body(STREAM, &vec![b' '; MAX_BODY_BYTES + 1], false), Action::Drop);
    assert!(proxy.stream(STREAM).replies[0].text().ends_with("\"items\":[]}\n"));
}

#[test]
fn the_merged_document_is_sent_when_the_servers_was_forgotten() {
    let proxy = MockProxy::golden();
    headers(&proxy, STREAM, NEW);
    proxy.body(STREAM, &BODY.as_bytes()[..10], false);
    for other in 2..2 + u32::try_from(MAX_BODIES).unwrap() {
        headers(&proxy, StreamId(other), NEW);
    }
    assert_eq!(proxy.body(STREAM, &BODY.as_bytes()[10..], true), Action::Drop);
    assert!(proxy.stream(STREAM).replies[0].text().ends_with("\"items\":[]}\n"));
}

#[test]
fn two_servers_with_different_documents_are_each_read_once() {
    let proxy = MockProxy::golden();
    for (stream, etag) in (10..).map(StreamId).zip(["\"A\"", "\"B\"", "\"A\"", "\"B\""]) {
        let is_known = stream.0 >= 12;
        headers(&proxy, stream, etag);
        assert_eq!(proxy.stream(stream).replies.len(), usize::from(is_known), "{stream:?}");
        proxy.body(stream, BODY.as_bytes(), true);
        assert_eq!(proxy.stream(stream).replies[0].text(), BODY);
    }
}

#[test]
fn a_document_that_a_push_takes_away_while_it_is_read_is_answered_503() {
    let proxy = MockProxy::golden();
    headers(&proxy, STREAM, NEW);
    proxy.configure(&changed(|map| map["documents"] = serde_json::json!([]))).unwrap();
    assert_eq!(proxy.body(STREAM, BODY.as_bytes(), true), Action::Drop);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}
