//! Which 404 is held back, replaced, or passes as it came.

use filter_core::Action;
use filter_core::mock::{GOLDEN, MockProxy};

use routing::interest::STATE;
use serde_json::json;

use crate::setup::*;

const JSON_404: &str = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
    \"status\":\"Failure\",\"message\":\"the server could not find the requested resource\",\
    \"reason\":\"NotFound\",\"details\":{},\"code\":404}\n";
const OBJECT_404: &str = "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"pods \\\"a\\\" \
    not found\",\"details\":{\"name\":\"a\",\"kind\":\"pods\"},\"code\":404}\n";

fn common() -> MockProxy {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, COMMON);
    proxy
}

/// Enters the filter by a whole JSON 404.
fn json(proxy: &MockProxy, body: &str) -> Action {
    let length = body.len().to_string();
    let headers =
        [(":status", "404"), ("content-type", "application/json"), ("content-length", &length)];
    assert_eq!(proxy.response(STREAM, &headers, false), Action::Pause);
    proxy.body(STREAM, body.as_bytes(), true)
}

#[test]
fn a_type_level_404_for_a_known_type_becomes_503() {
    let proxy = common();
    assert_eq!(json(&proxy, JSON_404), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!((reply.code, reply.header("retry-after")), (503, "1".to_owned()));
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(1));
}

#[test]
fn a_404_that_ends_with_trailers_is_judged() {
    let proxy = common();
    assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Pause);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, false), Action::Pause);
    assert_eq!(proxy.trailers_of_response(STREAM), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn an_object_level_404_passes() {
    let proxy = common();
    assert_eq!(json(&proxy, OBJECT_404), Action::Continue);
    assert!(proxy.stream(STREAM).replies.is_empty());
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(0));
}

#[test]
fn a_protobuf_client_gets_its_503_in_protobuf() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), ("accept", PROTOBUF)]);
    proxy.response(STREAM, &PLAIN_404, false);
    proxy.body(STREAM, TYPE_LEVEL, true);
    assert!(proxy.stream(STREAM).replies[0].body.starts_with(b"k8s\0"));
}

#[test]
fn a_404_is_judged_once_its_announced_length_has_come() {
    let proxy = common();
    let length = ("content-length", "19");
    proxy.response(STREAM, &[PLAIN_404[0], PLAIN_404[1], length], false);
    assert_eq!(proxy.body(STREAM, b"404 page ", false), Action::Pause);
    assert!(proxy.stream(STREAM).replies.is_empty());
    assert_eq!(proxy.body(STREAM, b"not found\n", false), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_404_of_unknown_length_is_judged_at_its_end() {
    let proxy = common();
    proxy.response(STREAM, &PLAIN_404, false);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, false), Action::Pause);
    assert!(proxy.stream(STREAM).replies.is_empty());
    proxy.body(STREAM, b"", true);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_body_that_grows_too_long_passes_before_its_end() {
    let proxy = common();
    proxy.response(STREAM, &PLAIN_404, false);
    assert_eq!(proxy.body(STREAM, &[b'x'; 1024], false), Action::Pause);
    assert_eq!(proxy.body(STREAM, b"x", false), Action::Continue);
    assert_eq!(proxy.body(STREAM, b"x", true), Action::Continue);
}

#[test]
fn a_404_that_announces_a_long_body_is_not_held() {
    let proxy = common();
    let length = ("content-length", "1025");
    let headers = [PLAIN_404[0], PLAIN_404[1], length];
    assert_eq!(proxy.response(STREAM, &headers, false), Action::Continue);
}

#[test]
fn a_404_that_announces_the_longest_known_body_is_held() {
    let proxy = common();
    let length = ("content-length", "1024");
    let headers = [PLAIN_404[0], PLAIN_404[1], length];
    assert_eq!(proxy.response(STREAM, &headers, false), Action::Pause);
}

#[test]
fn a_length_that_is_not_a_number_counts_as_none() {
    let proxy = common();
    for length in ["x", "-1", "", "99999999999999999999999"] {
        let headers = [PLAIN_404[0], PLAIN_404[1], ("content-length", length)];
        assert_eq!(proxy.response(STREAM, &headers, false), Action::Pause, "{length}");
    }
}

#[test]
fn a_404_to_head_is_told_by_its_length() {
    let proxy = common();
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_404_to_head_of_another_length_passes() {
    let proxy = common();
    let headers = [PLAIN_404[0], PLAIN_404[1], ("content-length", "20")];
    assert_eq!(proxy.response(STREAM, &headers, true), Action::Continue);
}

#[test]
fn a_404_with_an_empty_body_passes() {
    let proxy = common();
    assert_eq!(proxy.response(STREAM, &PLAIN_404, true), Action::Continue);
    let headers = [PLAIN_404[0], PLAIN_404[1], ("content-length", "0")];
    assert_eq!(proxy.response(STREAM, &headers, true), Action::Continue);
}

#[test]
fn a_404_without_a_content_type_passes_at_its_end() {
    let proxy = common();
    assert_eq!(proxy.response(STREAM, &[(":status", "404")], false), Action::Pause);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, true), Action::Continue);
}

#[test]
fn another_status_than_404_passes_at_once() {
    let proxy = common();
    for status in ["200", "304", "401", "403", "409", "410", "429", "500", "503", ""] {
        assert_eq!(
            proxy.response(STREAM, &[(":status", status)], false),
            Action::Continue,
            "{status}"
        );
    }
}

#[test]
fn a_404_for_what_is_not_an_api_passes_at_once() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, "/nosuch");
    assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Continue);
}

#[test]
fn while_the_map_is_incomplete_a_type_level_404_becomes_503() {
    let proxy = MockProxy::with_map(&changed(|map| map["complete"] = false.into()));
    proxy.get(STREAM, UNKNOWN);
    proxy.response(STREAM, &PLAIN_404_HEAD, true);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_404_of_a_stream_whose_request_was_not_seen_is_not_believed() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.response(StreamId(7), &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(proxy.stream(StreamId(7)).codes(), [503]);
}

#[test]
fn a_note_that_cannot_be_read_counts_as_none() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, UNKNOWN);
    proxy.change(STREAM, |stream| {
        stream.filter_state = [(STATE.to_owned(), b"\xff\0".to_vec())].into()
    });
    proxy.response(STREAM, &PLAIN_404_HEAD, true);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn streams_are_held_independently() {
    let proxy = MockProxy::golden();
    for stream in (1..=3).map(StreamId) {
        proxy.get(stream, COMMON);
        proxy.response(stream, &PLAIN_404, false);
    }
    assert_eq!(proxy.body(StreamId(2), TYPE_LEVEL, true), Action::Pause);
    assert_eq!(proxy.body(StreamId(3), b"other", true), Action::Continue);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, true), Action::Pause);
    let codes: Vec<_> = (1..=3).map(|id| proxy.stream(StreamId(id)).codes()).collect();
    assert_eq!(codes, [vec![503], vec![503], vec![]].map(|codes: Vec<u16>| codes).to_vec());
}

#[test]
fn a_404_that_is_forgotten_for_its_age_passes() {
    let proxy = MockProxy::golden();
    proxy.get(StreamId(0), COMMON);
    proxy.response(StreamId(0), &PLAIN_404, false);
    let many = u32::try_from(2 * filter_core::GENERATION).unwrap();
    for stream in (1..=many).map(StreamId) {
        proxy.response(stream, &PLAIN_404, false);
    }
    assert_eq!(proxy.body(StreamId(0), TYPE_LEVEL, true), Action::Continue);
    // A younger one is remembered.
    assert_eq!(proxy.body(StreamId(many), TYPE_LEVEL, true), Action::Pause);
}

#[test]
fn a_404_is_remembered_while_a_whole_generation_comes() {
    let proxy = MockProxy::golden();
    proxy.get(StreamId(0), COMMON);
    proxy.response(StreamId(0), &PLAIN_404, false);
    for stream in (1..=u32::try_from(filter_core::GENERATION).unwrap()).map(StreamId) {
        proxy.response(stream, &PLAIN_404, false);
    }
    assert_eq!(proxy.body(StreamId(0), TYPE_LEVEL, true), Action::Pause);
    assert_eq!(proxy.stream(StreamId(0)).codes(), [503]);
}

#[test]
fn a_404_from_behind_a_proxy_passes_at_once_whether_or_not_the_type_is_known() {
    for map in
        [GOLDEN.to_owned(), changed(|map| (map["groups"], map["verbs"]) = (json!({}), json!({})))]
    {
        let proxy = MockProxy::with_map(&map);
        for path in ["namespaces/n/services/s", "namespaces/n/pods/p:80", "nodes/n"] {
            proxy.get(STREAM, &format!("/api/v1/{path}/proxy/x"));
            assert_eq!(proxy.response(STREAM, &PLAIN_404, false), Action::Continue, "{path}");
        }
    }
}

#[test]
fn an_empty_404_for_an_openapi_document_becomes_503() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, "/openapi/v3/apis/nosuch.io/v1");
    let headers = [(":status", "404"), ("content-length", "0")];
    assert_eq!(proxy.response(STREAM, &headers, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}
