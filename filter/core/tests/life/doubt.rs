//! A type-level 404 of one server: which other servers are asked, and when it
//! passes.

use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::mock::{Call, MockProxy, Stream};
use filter_core::{Action, PER_SECOND, Shared};

use crate::setup::*;

const FIRST: &str = "10.0.0.1:6443";
const SECOND: &str = "[fd00::2]:6443";

/// A filter in the listener and one at the servers, as they share a stream.
struct Pair {
    client: MockProxy,
    server: MockProxy,
}

impl Pair {
    fn with_map(map: &str) -> Self {
        let client = MockProxy::with_map(map);
        Self { server: client.at_server(), client }
    }

    fn golden() -> Self {
        Self::with_map(&changed(|_| ()))
    }

    /// A GET of this path.
    fn get(self, path: &str) -> Self {
        assert_eq!(self.client.get(STREAM, path), Action::Continue);
        let state = self.client.stream(STREAM).filter_state;
        self.server.change(STREAM, |stream| stream.filter_state = state);
        self
    }

    /// Returns whether another server is asked after this answer of a server in the
    /// rotation cluster.
    fn attempt(&self, server: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
        self.attempt_in("kube-apiserver__rotation", server, headers, body)
    }

    /// Returns the same for a server in any cluster.
    fn attempt_in(
        &self,
        cluster: &str,
        server: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> bool {
        self.server.change(STREAM, |stream| {
            server.clone_into(&mut stream.server);
            cluster.clone_into(&mut stream.cluster);
            stream.is_marked = false;
            stream.body.clear();
        });
        if self.server.response(STREAM, headers, false) == Action::Pause {
            assert_eq!(self.server.body(STREAM, body, true), Action::Continue);
        }
        let stream = self.server.stream(STREAM);
        assert_eq!(stream.codes(), [0; 0], "only the listener's filter answers");
        stream.is_marked
    }

    fn denied_by(&self, server: &str) -> bool {
        self.attempt(server, &PLAIN_404, TYPE_LEVEL)
    }

    fn denied_in(&self, cluster: &str, server: &str) -> bool {
        self.attempt_in(cluster, server, &PLAIN_404, TYPE_LEVEL)
    }

    /// Returns the codes with which the last attempt's 404 is answered in the
    /// listener.
    fn at_the_client(&self, body: &[u8]) -> Vec<u16> {
        let state: BTreeMap<_, _> = self.server.stream(STREAM).filter_state;
        self.client.change(STREAM, |stream: &mut Stream| stream.filter_state = state);
        if self.client.response(STREAM, &PLAIN_404, false) == Action::Pause {
            self.client.body(STREAM, body, true);
        }
        self.client.stream(STREAM).codes()
    }

    fn outcomes(&self, outcome: &str) -> Option<u64> {
        self.server.metric(&format!("type_level_not_found_total.outcome.{outcome}"))
    }
}

#[test]
fn a_404_passes_when_every_server_in_rotation_has_said_it() {
    for path in [UNKNOWN, COMMON, SKEWED, "/api/v1/pods/p", "/apis/nosuch.io"] {
        let pair = Pair::golden().get(path);
        assert!(pair.denied_by(FIRST), "{path}");
        assert!(!pair.denied_by(SECOND), "{path}");
        assert_eq!(pair.at_the_client(TYPE_LEVEL), [0; 0], "{path}");
        assert_eq!(pair.outcomes("asked_again"), Some(1));
        assert_eq!(pair.outcomes("denied_by_all"), Some(1));
    }
}

#[test]
fn a_server_that_denies_again_in_the_rotation_ends_it_and_proves_nothing() {
    for cluster in ["kube-apiserver__rotation", "api__rotation__front-proxy"] {
        let pair = Pair::golden().get(UNKNOWN);
        assert!(pair.denied_in(cluster, FIRST));
        // The proxy had no other server to ask.
        assert!(!pair.denied_in(cluster, FIRST));
        assert_eq!(pair.at_the_client(TYPE_LEVEL), [503]);
        assert_eq!(pair.outcomes("unproved"), Some(1));
    }
}

#[test]
fn a_set_that_denies_does_not_end_it_before_the_rotation_was_asked() {
    for set in ["kube-apiserver", "kube-apiserver_a__front-proxy", "", "x__rotation_a"] {
        let pair = Pair::golden().get(SKEWED);
        // A set of one server is asked twice: its header is replaced too late.
        for _ in 0..2 {
            assert!(pair.denied_in(set, FIRST), "{set}");
        }
        assert!(pair.denied_by(FIRST), "{set}");
        assert!(!pair.denied_by(SECOND), "{set}");
        assert_eq!(pair.at_the_client(TYPE_LEVEL), [0; 0]);
        assert_eq!(pair.outcomes("denied_by_all"), Some(1));
    }
}

#[test]
fn a_server_that_is_not_in_rotation_proves_nothing() {
    let pair = Pair::golden().get(UNKNOWN);
    for server in ["10.0.0.9:6443", "10.0.0.1:644", "10.0.0.1:64433", ""] {
        assert!(pair.denied_by(server), "{server}");
    }
    assert_eq!(pair.at_the_client(TYPE_LEVEL), [503]);
}

#[test]
fn an_object_level_404_of_any_server_passes_at_once() {
    let pair = Pair::golden().get(COMMON);
    assert!(!pair.attempt(FIRST, &PLAIN_404, b"no such object"));
    assert_eq!(pair.at_the_client(b"no such object"), [0; 0]);
    assert_eq!(pair.outcomes("answered"), Some(0));
}

#[test]
fn an_object_level_404_after_a_type_level_one_passes_and_is_counted() {
    let pair = Pair::golden().get(UNKNOWN);
    assert!(pair.denied_by(FIRST));
    assert!(!pair.attempt(SECOND, &PLAIN_404, b"no such object"));
    assert_eq!(pair.at_the_client(b"no such object"), [0; 0]);
    assert_eq!(pair.outcomes("answered"), Some(1));
}

#[test]
fn another_answer_after_a_type_level_404_is_counted_in_the_listener() {
    let pair = Pair::golden().get(UNKNOWN);
    assert!(pair.denied_by(FIRST));
    let state = pair.server.stream(STREAM).filter_state;
    pair.client.change(STREAM, |stream| stream.filter_state = state);
    assert_eq!(pair.client.response(STREAM, &[(":status", "201")], true), Action::Continue);
    let name = "type_level_not_found_total.outcome.answered";
    assert_eq!(pair.client.metric(name), Some(1));
}

#[test]
fn nothing_is_proved_while_a_server_was_not_read_or_has_just_left() {
    for field in ["complete", "justLeft"] {
        let map = changed(|map| map[field] = (field == "justLeft").into());
        let pair = Pair::with_map(&map).get(UNKNOWN);
        assert!(pair.denied_by(FIRST), "a server may know it");
        assert!(!pair.denied_by(SECOND));
        assert_eq!(pair.at_the_client(TYPE_LEVEL), [503], "{field}");
        assert_eq!(pair.outcomes("unproved"), Some(1));
    }
}

#[test]
fn five_seconds_after_a_server_left_a_404_passes_without_a_new_map() {
    let pair = Pair::with_map(&changed(|map| map["justLeft"] = true.into()));
    let pair = pair.get(UNKNOWN);
    let denied_by_all_at = |milliseconds| {
        pair.server.host.change(|state| state.now = Duration::from_millis(milliseconds));
        pair.server.change(STREAM, |stream| stream.filter_state.clear());
        assert!(pair.denied_by(FIRST) && !pair.denied_by(SECOND));
        pair.outcomes("denied_by_all")
    };
    assert_eq!(denied_by_all_at(4_999), Some(0));
    assert_eq!(denied_by_all_at(5_000), Some(1));
}

#[test]
fn with_an_older_companion_a_404_passes_by_the_map_alone() {
    let map = changed(|map| map["rotation"] = serde_json::json!([]));
    let pair = Pair::with_map(&map).get(UNKNOWN);
    // Its clusters have no filter that judges attempts.
    assert_eq!(pair.at_the_client(TYPE_LEVEL), [0; 0]);
    assert_eq!(Pair::with_map(&map).get(COMMON).at_the_client(TYPE_LEVEL), [503]);
}

#[test]
fn without_evidence_no_server_is_asked_and_nothing_is_proved() {
    for shared in [None, Some("x"), Some("7"), Some("7\x000"), Some("7\0soon\x0010.0.0.1:6443")] {
        let pair = Pair::golden().get(UNKNOWN);
        let shared = shared.map(|value| Shared { value: value.into(), version: 1 });
        pair.server.host.change(|state| state.shared.clear());
        shared.into_iter().for_each(|shared| pair.server.hear(shared));
        assert!(!pair.denied_by(FIRST));
        assert_eq!(pair.at_the_client(TYPE_LEVEL), [503]);
    }
}

/// Returns the generation of the evidence that was shared last.
fn shared_by(proxy: &MockProxy) -> String {
    let shared = proxy.shared().last().unwrap().value.clone();
    String::from_utf8(shared).unwrap().split('\0').next().unwrap().to_owned()
}

fn configure(proxy: &MockProxy, generation: u64) {
    proxy.configure(&changed(|map| map["generation"] = generation.into())).unwrap();
}

/// Returns a worker that knows what another one shared.
fn worker(other: &MockProxy) -> MockProxy {
    let proxy = MockProxy::default();
    proxy.host.change(|state| state.shared.clone_from(&other.host.state().shared));
    proxy
}

#[test]
fn a_slower_worker_does_not_replace_newer_evidence() {
    let fast = MockProxy::default();
    configure(&fast, 7);
    let slow = worker(&fast);
    configure(&slow, 7);
    configure(&fast, 9);
    slow.host.change(|state| state.shared.clone_from(&fast.host.state().shared));
    configure(&slow, 8);
    assert_eq!(shared_by(&slow), "9");
    configure(&slow, 10);
    assert_eq!(shared_by(&slow), "10");
}

#[test]
fn a_map_of_a_lower_generation_than_the_last_one_replaces_its_evidence() {
    let first = MockProxy::default();
    configure(&first, 9);
    let second = worker(&first);
    configure(&second, 9);
    configure(&first, 3);
    assert_eq!(shared_by(&first), "3");
    second.host.change(|state| state.shared.clone_from(&first.host.state().shared));
    configure(&second, 3);
    assert_eq!(shared_by(&second), "3");
}

#[test]
fn a_worker_that_pauses_does_not_replace_newer_evidence() {
    let sooner = MockProxy::default();
    configure(&sooner, 9);
    let slow = MockProxy::default();
    configure(&slow, 7);
    let mut newer = sooner.shared().last().unwrap().clone();
    newer.version = 2;
    slow.host.change(|state| state.sooner = Some(newer));
    configure(&slow, 8);
    assert_eq!(shared_by(&slow), "9");
}

#[test]
fn beyond_the_budget_no_other_server_is_asked() {
    let pair = Pair::golden().get(UNKNOWN);
    pair.server.host.change(|state| state.now = Duration::from_secs(5));
    let take_in = |cluster| {
        pair.server.change(STREAM, |stream| stream.filter_state.clear());
        pair.denied_in(cluster, FIRST)
    };
    let take = || take_in("kube-apiserver__rotation");
    for _ in 0..PER_SECOND / 4 * 3 {
        assert!(take());
    }
    assert!(!take());
    // The map lists the types of requests that begin elsewhere.
    for _ in 0..PER_SECOND / 4 {
        assert!(take_in("kube-apiserver"));
    }
    assert!(!take_in("kube-apiserver") && !take());
    assert_eq!(pair.outcomes("over_budget"), Some(3));
    assert_eq!(pair.at_the_client(TYPE_LEVEL), [503]);
    // A second later there is budget again.
    pair.server.host.change(|state| state.now = Duration::from_secs(6));
    assert!(take());
}

#[test]
fn a_404_to_head_is_judged_by_its_length() {
    let pair = Pair::golden().get(UNKNOWN);
    for server in [FIRST, SECOND] {
        pair.server.change(STREAM, |stream| server.clone_into(&mut stream.server));
        assert_eq!(pair.server.response(STREAM, &PLAIN_404_HEAD, true), Action::Continue);
    }
    assert_eq!(pair.outcomes("denied_by_all"), Some(1));
}

#[test]
fn an_empty_404_for_an_openapi_document_is_doubted_too() {
    let pair = Pair::golden().get("/openapi/v3/apis/nosuch.io/v1");
    assert!(pair.attempt(FIRST, &[(":status", "404")], b""));
    assert!(!pair.attempt(SECOND, &[(":status", "404")], b""));
    assert_eq!(pair.at_the_client(b""), [0; 0]);
    let pair = Pair::golden().get(UNKNOWN);
    assert!(!pair.attempt(FIRST, &[(":status", "404")], b""));
    assert_eq!(pair.outcomes("asked_again"), Some(0));
}

#[test]
fn a_host_that_fails_makes_a_503_of_a_type_level_404() {
    for call in [Call::SetFilterState, Call::ServerAddress, Call::AskAgain, Call::Shared] {
        let mut pair = Pair::golden().get(UNKNOWN);
        pair.server = pair.server.failing(call);
        for server in [FIRST, SECOND] {
            pair.denied_by(server);
        }
        let codes = pair.at_the_client(TYPE_LEVEL);
        // Without a mark the proxy asks nobody else; here the second was asked all
        // the same.
        let expected: &[u16] = if call == Call::AskAgain { &[] } else { &[503] };
        assert_eq!(codes, expected, "{call:?}");
    }
}
