//! The companion is asked before a 404 for an unknown type passes.

use filter_core::Action;
use filter_core::mock::{Call, MockProxy};

use crate::setup::*;

/// A filter that has asked about stream 1, by the query 0.
fn asked(proxy: MockProxy) -> MockProxy {
    proxy.get(STREAM, UNKNOWN);
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Pause);
    proxy
}

macro_rules! answers {
    ($($name:ident: $proxy:expr, $answer:expr => $codes:expr, $resumed:literal, $verdict:literal)+) => {
        $(#[test]
        fn $name() {
            let proxy = asked($proxy);
            proxy.answer(QUERY, $answer);
            let stream = proxy.stream(STREAM);
            let expected: &[u16] = &$codes;
            assert_eq!((&*stream.codes(), stream.resumed), (expected, $resumed));
            let verdict = concat!("absence_questions_total.verdict.", $verdict);
            assert_eq!(proxy.metric(verdict), Some(1));
        })+
    };
}

answers! {
    a_404_passes_if_no_server_serves_the_type:
        MockProxy::golden(), &ABSENT => [], 1, "absent"
    a_404_becomes_503_if_a_server_serves_the_type:
        MockProxy::golden(), &SERVED => [503], 0, "served"
    a_404_becomes_503_if_a_server_could_not_be_asked:
        MockProxy::golden(), &UNCLEAR => [503], 0, "unclear"
    a_404_passes_without_an_answer_if_so_configured:
        MockProxy::golden(), &[] => [], 1, "no_answer"
    a_404_becomes_503_without_an_answer_if_so_configured:
        strict(), &[] => [503], 0, "no_answer"
    a_503_of_envoys_own_counts_as_no_answer:
        strict(), &[(":status", "503")] => [503], 0, "no_answer"
    a_504_counts_as_no_answer:
        MockProxy::golden(), &[(":status", "504"), ("date", "now")] => [], 1, "no_answer"
    a_200_counts_as_no_answer:
        strict(), &[(":status", "200"), ("date", "now")] => [503], 0, "no_answer"
    an_answer_without_a_status_counts_as_no_answer:
        strict(), &[("date", "now")] => [503], 0, "no_answer"
    a_type_that_is_served_is_not_denied_whatever_is_configured:
        strict(), &SERVED => [503], 0, "served"
    a_204_needs_no_date:
        strict(), &[(":status", "204")] => [], 1, "absent"
}

#[test]
fn the_companion_is_asked_by_the_path_without_its_query() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, "/apis/nosuch.io/v1/foos?watch=1");
    proxy.response(STREAM, &PLAIN_404_HEAD, true);
    let callout = proxy.host.state().callouts[0].clone();
    assert_eq!(callout.path, "/v1/absence?path=%2Fapis%2Fnosuch.io%2Fv1%2Ffoos");
    assert_eq!(callout.cluster, "mixed-version-companion");
    assert_eq!(callout.timeout_milliseconds, 1000);
}

#[test]
fn the_503_has_the_encoding_that_the_client_wants() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", UNKNOWN), ("accept", PROTOBUF)]);
    proxy.response(STREAM, &PLAIN_404_HEAD, true);
    proxy.answer(QUERY, &SERVED);
    assert!(proxy.stream(STREAM).replies[0].body.starts_with(b"k8s\0"));
}

#[test]
fn a_replaced_404_is_counted() {
    let proxy = asked(MockProxy::golden());
    proxy.answer(QUERY, &SERVED);
    assert_eq!(proxy.metric("not_found_replaced_total"), Some(1));
}

#[test]
fn an_answer_counts_once() {
    let proxy = asked(MockProxy::golden());
    proxy.answer(QUERY, &ABSENT);
    proxy.answer(QUERY, &SERVED);
    let stream = proxy.stream(STREAM);
    assert_eq!((stream.codes(), stream.resumed), (vec![], 1));
}

#[test]
fn an_answer_to_a_query_that_was_not_sent_changes_nothing() {
    let proxy = asked(MockProxy::golden());
    proxy.answer(CalloutToken(7), &SERVED);
    assert!(proxy.stream(STREAM).replies.is_empty());
}

#[test]
fn an_answer_after_the_client_has_left_changes_nothing() {
    let proxy = asked(MockProxy::golden());
    proxy.change(STREAM, |stream| stream.has_ended = true);
    proxy.answer(QUERY, &SERVED);
    let stream = proxy.stream(STREAM);
    assert_eq!((stream.codes(), stream.resumed), (vec![], 0));
    assert_eq!(proxy.metric("absence_questions_total.verdict.served"), Some(0));
}

#[test]
fn a_stream_that_was_forgotten_for_its_age_gets_its_404() {
    let proxy = asked(MockProxy::golden());
    for stream in (2..u32::try_from(2 * filter_core::GENERATION + 3).unwrap()).map(StreamId) {
        proxy.response(stream, &PLAIN_404, false);
    }
    proxy.answer(QUERY, &SERVED);
    let stream = proxy.stream(STREAM);
    assert_eq!((stream.codes(), stream.resumed), (vec![], 1));
}

#[test]
fn if_the_companion_cannot_be_asked_a_404_does_as_configured() {
    for (proxy, action) in [(MockProxy::golden(), Action::Continue), (strict(), Action::Pause)] {
        let proxy = proxy.failing(Call::CallOut);
        proxy.get(STREAM, UNKNOWN);
        assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), action);
        assert_eq!(proxy.metric("absence_questions_total.verdict.no_answer"), Some(1));
    }
}

#[test]
fn answers_find_their_streams_in_any_order() {
    let proxy = MockProxy::golden();
    for stream in (1..=3).map(StreamId) {
        proxy.get(stream, UNKNOWN);
        proxy.response(stream, &PLAIN_404_HEAD, true);
    }
    proxy.answer(CalloutToken(2), &SERVED);
    proxy.answer(QUERY, &ABSENT);
    proxy.answer(CalloutToken(1), &UNCLEAR);
    let outcomes: Vec<_> = (1..=3).map(|id| proxy.stream(StreamId(id))).collect();
    let outcomes: Vec<_> = outcomes.iter().map(|s| (s.replies.len(), s.resumed)).collect();
    assert_eq!(outcomes, [(0, 1), (1, 0), (1, 0)]);
}

#[test]
fn the_rest_of_a_body_stays_back_while_the_companion_is_asked() {
    let proxy = MockProxy::golden();
    proxy.get(STREAM, UNKNOWN);
    let length = ("content-length", "19");
    proxy.response(STREAM, &[PLAIN_404[0], PLAIN_404[1], length], false);
    assert_eq!(proxy.body(STREAM, TYPE_LEVEL, false), Action::Pause);
    assert_eq!(proxy.body(STREAM, b"", true), Action::Pause);
    proxy.answer(QUERY, &ABSENT);
    assert_eq!(proxy.stream(STREAM).resumed, 1);
}
