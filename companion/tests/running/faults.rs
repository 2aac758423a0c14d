//! Peers whose answers are faulty. They do not affect the others.

use std::time::Duration;

use crate::companion::Companion;
use crate::peers::{Authority, Fault, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];

pub fn last_error(companion: &Companion, peer: usize) -> String {
    let Some((_, peers)) = companion.get("/v1/peers") else { return String::new() };
    let peers: serde_json::Value = serde_json::from_str(&peers).unwrap();
    peers[peer]["lastError"].as_str().unwrap_or_default().to_owned()
}

/// Each fault, and its error.
const FAULTS: [(Fault, &str); 5] = [
    (Fault::Redirect, "302"),
    (Fault::Endless, "more than"),
    (Fault::Stalled, "no answer within"),
    (Fault::Truncated, "unreadable"),
    (Fault::Garbage, "unreadable"),
];

fn settings(fault: Fault) -> String {
    format!("polling: {{timeout: {}, maxResponseBytes: 65536}}", fault.timeout())
}

/// Returns how often a peer's discovery could not be read.
fn failures(companion: &Companion, peer: &str) -> u64 {
    companion.metric(&format!("discovery_failures_total{{peer=\"{peer}\"}}"))
}

/// Returns how many lines of the log are about this peer, with this text and this reason.
fn times_logged(companion: &Companion, what: &str, peer: &str, reason: &str) -> usize {
    let log = companion.log();
    let is_about = |line: &&str| line.contains(&format!("\"peer\":\"{peer}\""));
    log.lines().filter(is_about).filter(|l| l.contains(what) && l.contains(reason)).count()
}

#[test]
fn a_faulty_answer_keeps_the_known_types_and_does_not_delay_other_peers() {
    for (fault, error) in FAULTS {
        let authority = Authority::new();
        let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
        let companion = Companion::start_with(&authority, &[&a, &b], &settings(fault));
        companion.wait_until_complete();
        b.change(|behavior| behavior.fault = Some(fault));
        companion.eventually(error, || last_error(&companion, 1).contains(error));
        assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
        a.change(|behavior| behavior.types.push("other/v1/things".to_owned()));
        companion.wait_for_route_in_time("other/v1/things", "kube-apiserver_a");
        companion.eventually("several failures", || failures(&companion, "b") > 2);
        assert_eq!(failures(&companion, "a"), 0);
        assert_eq!(
            times_logged(&companion, "cannot read discovery", "b", error),
            1,
            "{}",
            companion.log()
        );
    }
}

#[test]
fn many_peers_whose_answers_stall_do_not_delay_another() {
    let authority = Authority::new();
    let peers: Vec<_> = (0..13).map(|_| Peer::start(&authority, COMMON)).collect();
    let settings = "polling: {timeout: 8s}";
    let companion = Companion::start_with(&authority, &peers.iter().collect::<Vec<_>>(), settings);
    companion.wait_until_ready();
    let (first, others) = peers.split_first().unwrap();
    others.iter().for_each(|peer| peer.change(|b| b.fault = Some(Fault::Stalled)));
    // Each has asked for its discovery since.
    std::thread::sleep(Duration::from_secs(2));
    for name in ["one/v1/things", "two/v1/things"] {
        first.change(|behavior| behavior.types.push(name.to_owned()));
        companion.wait_for_route_in_time(name, "kube-apiserver_a");
    }
}

#[test]
fn a_peer_that_goes_away_between_its_two_documents_is_read_again_when_it_is_back() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let b = Peer::start(&authority, &["/v1/things", "apps/v1/deployments"]);
    b.change(|behavior| behavior.fault = Some(Fault::Broken));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.eventually("/api is read", || b.full_answers() == 1);
    b.change(|behavior| behavior.ready = false);
    companion.eventually("it is not ready", || last_error(&companion, 1).contains("/readyz"));
    b.change(|behavior| (behavior.ready, behavior.fault) = (true, None));
    companion.wait_for_route("/v1/things", "kube-apiserver_b");
    companion.eventually("the map is complete", || companion.map().unwrap().complete);
}

/// The older document of a group-version, of more than 4,000 bytes.
fn large_document(resource: &str) -> String {
    let spaces = " ".repeat(4000);
    format!("{{\"kind\":\"APIResourceList\",{spaces}\"resources\":[{{\"name\":\"{resource}\"}}]}}")
}

#[test]
fn the_older_documents_of_a_peer_are_bounded_all_together() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let settings = "polling: {maxResponseBytes: 65536}";
    let companion = Companion::start_with(&authority, &[&a, &b], settings);
    companion.wait_until_complete();
    let versions: Vec<_> = (1..=20).map(|n| format!("v{n}")).collect();
    b.change(|behavior| {
        let list = serde_json::json!({"kind": "APIVersions", "versions": versions});
        behavior.answers.insert("/api".to_owned(), list.to_string());
        let documents = versions.iter().map(|v| (format!("/api/{v}"), large_document("pods")));
        behavior.answers.extend(documents);
    });
    let error = "answered more than 65536 bytes with the answers before it";
    companion.eventually(error, || last_error(&companion, 1).contains(error));
    // What was known stays, and the budget is that of one round.
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    b.change(|behavior| behavior.answers.clear());
    b.change(|behavior| behavior.types.push("newer/v1/things".to_owned()));
    companion.wait_for_route("newer/v1/things", "kube-apiserver_b");
    companion.eventually("no error", || last_error(&companion, 1).is_empty());
}

#[test]
fn the_documents_with_storage_versions_are_bounded_all_together() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    b.change(|behavior| {
        for group in (0..30).map(|n| format!("group{n}")) {
            behavior.types.push(format!("{group}/v1/things"));
            behavior.answers.insert(format!("/apis/{group}/v1"), large_document("things"));
        }
    });
    // The documents are read between two rounds, and the time between them must be enough for some.
    let settings = "polling: {maxResponseBytes: 65536, interval: 500ms}";
    let companion = Companion::start_with(&authority, &[&a, &b], settings);
    companion.wait_until_ready();
    let what = "storage versions are not read any more";
    let reason = "answered more than 65536 bytes with the answers before it";
    companion.eventually(what, || times_logged(&companion, what, "b", reason) == 1);
    let rounds = || companion.metric("polls_total{peer=\"b\",outcome=\"serving\"}");
    let before = rounds();
    companion.eventually("many rounds", || rounds() >= before + 10);
    assert_eq!(times_logged(&companion, what, "b", reason), 1, "{}", companion.log());
    assert_eq!(companion.route("group29/v1/things").unwrap(), "kube-apiserver_b");
}

#[test]
fn a_faulty_openapi_index_is_logged_once_and_does_not_affect_routing() {
    for (fault, error) in FAULTS {
        let authority = Authority::new();
        let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
        b.change(|behavior| behavior.open_api_fault = Some(fault));
        let companion = Companion::start_with(&authority, &[&a, &b], &settings(fault));
        companion.wait_until_complete();
        let what = "cannot read the OpenAPI v3 index";
        companion.eventually(what, || times_logged(&companion, what, "b", error) == 1);
        companion.eventually("a failure", || failures(&companion, "b") > 0);
        assert_eq!(failures(&companion, "a"), 0);
        assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
    }
}

#[test]
fn an_unreadable_version_is_logged_once_and_does_not_affect_routing() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    b.change(|behavior| behavior.version_fault = Some(Fault::Garbage));
    let companion = Companion::start_with(&authority, &[&a, &b], "polling: {interval: 100ms}");
    companion.wait_until_ready();
    companion.eventually("many rounds", || {
        companion.metric("polls_total{peer=\"b\",outcome=\"serving\"}") >= 10
    });
    let what = "cannot read the version of the peer";
    assert_eq!(times_logged(&companion, what, "b", "unreadable"), 1, "{}", companion.log());
    assert_eq!(companion.route("new/v1/things").unwrap(), "kube-apiserver_b");
}

#[test]
fn credentials_that_cannot_be_used_are_logged_once_and_the_earlier_ones_stay() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let companion = Companion::start_with(&authority, &[&a], "polling: {interval: 100ms}");
    companion.wait_until_ready();
    let token = std::fs::read(companion.path("token")).unwrap();
    let rounds = || companion.metric("polls_total{peer=\"a\",outcome=\"serving\"}");
    let what = "credentials cannot be used";
    for times in 1..=2 {
        std::fs::write(companion.path("token"), "").unwrap();
        let before = rounds();
        companion.eventually("many rounds", || rounds() >= before + 10);
        // The tasks that read the control plane may say it too.
        let logged = times_logged(&companion, what, "a", "the file is empty");
        assert!((times..=3 * times).contains(&logged), "{}", companion.log());
        std::fs::write(companion.path("token"), &token).unwrap();
        companion.eventually("the end is logged", || {
            times_logged(&companion, "credentials can be used again", "a", "") >= times
        });
    }
}

#[test]
fn a_peer_whose_certificate_does_not_verify_is_not_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let a = Peer::start(&authority, COMMON);
    let wrong_authority = Peer::start(&stranger, MORE);
    let wrong_name = Peer::start_as(&authority, "somebody", MORE);
    let companion = Companion::start(&authority, &[&a, &wrong_authority, &wrong_name]);
    companion.wait_until_ready();
    assert_eq!(companion.route("new/v1/things").unwrap(), "unknown");
    for peer in [1, 2] {
        let error = last_error(&companion, peer);
        assert!(error.contains("certificate"), "{error}");
    }
    assert!(!companion.map().unwrap().complete);
}

#[test]
fn a_peer_that_rejects_the_token_is_not_ready() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    b.change(|behavior| behavior.token = "another".to_owned());
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    let error = last_error(&companion, 1);
    assert!(error.contains("401"), "{error}");
    assert_eq!(companion.route("new/v1/things").unwrap(), "unknown");
}

#[test]
fn unchanged_discovery_is_sent_once_and_pushed_once() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let companion = Companion::start_with(&authority, &[&a], "polling: {interval: 100ms}");
    companion.wait_until_ready();
    let generation = companion.map().unwrap().generation;
    companion.eventually("many rounds", || {
        companion.metric("polls_total{peer=\"a\",outcome=\"serving\"}") >= 10
    });
    assert_eq!(a.full_answers(), 2, "one for /api, one for /apis");
    assert_eq!(companion.map().unwrap().generation, generation);
}
