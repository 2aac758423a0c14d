//! Absence queries: whether any peer serves a type.

use std::time::{Duration, Instant};

use crate::companion::Companion;
use crate::peers::{Authority, Fault, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];

/// The peers are polled so rarely that only the query itself finds changes.
const SELDOM: &str = "polling: {interval: 60s}";

const UNKNOWN: &str = "/v1/absence?path=%2Fapis%2Fnew%2Fv1%2Fnamespaces%2Fx%2Fthings%2Fy";

fn ask(companion: &Companion, query: &str) -> u16 {
    companion.get(query).unwrap().0
}

#[test]
fn a_type_that_a_peer_has_just_added_is_found_and_pushed_at_once() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    let companion = Companion::start_with(&authority, &[&a, &b], SELDOM);
    companion.wait_until_ready();
    let before = a.full_answers();
    assert_eq!(ask(&companion, UNKNOWN), 204);
    assert_eq!(a.full_answers(), before, "what is unchanged is not sent again");
    b.change(|behavior| behavior.types.push("new/v1/things".to_owned()));
    assert_eq!(ask(&companion, UNKNOWN), 409);
    companion.wait_for_route("new/v1/things", "kube-apiserver_b");
    assert_eq!(ask(&companion, UNKNOWN), 409, "by whoever serves it");
    b.change(|behavior| behavior.types.truncate(COMMON.len()));
    assert_eq!(ask(&companion, UNKNOWN), 204);
    companion.wait_for_route("new/v1/things", "unknown");
    assert_eq!(ask(&companion, "/v1/absence?path=%2Fmetrics"), 204);
    assert_eq!(ask(&companion, "/v1/absence"), 400);
}

#[test]
fn while_a_peer_cannot_be_asked_nothing_is_absent() {
    for fault in [Fault::Redirect, Fault::Endless, Fault::Stalled, Fault::Truncated, Fault::Garbage]
    {
        let authority = Authority::new();
        let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
        let settings = "polling: {interval: 60s, maxResponseBytes: 65536}";
        let companion = Companion::start_with(&authority, &[&a, &b], settings);
        companion.wait_until_ready();
        b.change(|behavior| behavior.fault = Some(fault));
        let start = Instant::now();
        assert_eq!(ask(&companion, UNKNOWN), 503, "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{fault:?}: before the filter gives up");
        assert_eq!(companion.metric("absence_failures_total{peer=\"b\"}"), 1, "{fault:?}");
        assert!(companion.log().contains("cannot be asked"), "{}", companion.log());
        let known = "/v1/absence?path=%2Fapis%2Fapps%2Fv1%2Fdeployments";
        assert_eq!(ask(&companion, known), 409, "{fault:?}: another peer has it");
        b.change(|behavior| behavior.fault = None);
        assert_eq!(ask(&companion, UNKNOWN), 204, "{fault:?}");
    }
}

#[test]
fn failures_of_a_peer_are_counted_until_it_leaves_the_configuration() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    let companion = Companion::start_with(&authority, &[&a, &b], SELDOM);
    companion.wait_until_ready();
    b.change(|behavior| behavior.fault = Some(Fault::Garbage));
    assert_eq!(ask(&companion, UNKNOWN), 503);
    let reload = |change: &dyn Fn(&str) -> bool, count| {
        companion.write_config(|config| {
            let lines = config.lines().filter(|line| change(line)).map(|line| format!("{line}\n"));
            lines.collect::<String>() + "forgetAfter: 2h\n"
        });
        companion.eventually("the configuration is in force", || {
            companion.metric("config_reloads_total{outcome=\"applied\"}") == count
        });
    };
    let failures = || companion.metric("absence_failures_total{peer=\"b\"}");
    reload(&|_| true, 1);
    assert_eq!(ask(&companion, UNKNOWN), 503);
    assert_eq!(failures(), 2);
    reload(&|line| !line.contains("name: b"), 2);
    companion.eventually("b is forgotten", || failures() == 0);
}

#[test]
fn a_type_of_a_peer_that_has_just_left_is_not_absent() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let mut b = Peer::start(&authority, &["/v1/pods", "apps/v1/deployments", "x.io/v1/things"]);
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    let custom = "/v1/absence?path=%2Fapis%2Fx.io%2Fv1%2Fthings";
    assert_eq!(ask(&companion, custom), 409);
    b.kill();
    // Custom resources go with the peers that answer.
    companion.wait_for_route("x.io/v1/things", "unknown");
    assert_eq!(ask(&companion, custom), 503);
    a.change(|behavior| behavior.types.push("x.io/v1/things".to_owned()));
    assert_eq!(ask(&companion, custom), 409, "the other has seen it as well");
    a.change(|behavior| behavior.types.truncate(COMMON.len()));
    companion.eventually("it is absent", || ask(&companion, custom) == 204);
}

#[test]
fn peers_are_asked_at_most_ten_times_a_second_however_many_clients_ask() {
    let authority = Authority::new();
    let a = Peer::start(&authority, COMMON);
    let companion = Companion::start_with(&authority, &[&a], SELDOM);
    companion.wait_until_ready();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| (0..4).for_each(|_| assert_eq!(ask(&companion, UNKNOWN), 204)));
        }
    });
    let rounds = companion.metric("absence_rounds_total");
    let most = (start.elapsed().as_millis() / 500 + 1) * 5;
    assert!(u128::from(rounds) <= most, "{rounds} rounds, at most {most}");
    assert_eq!(companion.metric("absence_questions_total{answer=\"absent\"}"), 200);
}
