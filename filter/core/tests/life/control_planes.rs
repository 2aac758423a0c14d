//! Several control planes in one VM: nothing of one is in another's way.

use std::time::Duration;

use filter_core::mock::{Call, GOLDEN, MockProxy};
use filter_core::{Action, GENERATION, MAX_BODIES, PER_SECOND};

use crate::setup::*;

/// Returns the golden map with other names of clusters, of which only `cp-1` is left for what
/// the golden map sends to `cp-2`.
fn other_map() -> String {
    GOLDEN.replace("\"kube-apiserver", "\"other")
}

/// Two control planes with a map each.
fn two() -> [MockProxy; 2] {
    let first = MockProxy::default().beside("first");
    let second = first.beside("second");
    first.configure(GOLDEN).unwrap();
    second.configure(&other_map()).unwrap();
    [first, second]
}

/// Returns the cluster to which a request of a control plane's client goes.
fn cluster(proxy: &MockProxy, stream: u32) -> Option<String> {
    assert_eq!(proxy.get(StreamId(stream), SKEWED), Action::Continue);
    proxy.stream(StreamId(stream)).sent("x-mixed-version-proxy-cluster")
}

fn is_without_a_map(proxy: &MockProxy, stream: u32) -> bool {
    proxy.get(StreamId(stream), SKEWED);
    let replies = proxy.stream(StreamId(stream)).replies;
    replies.iter().any(|reply| reply.text().contains("no discovery map yet"))
}

#[test]
fn each_control_plane_is_answered_by_its_own_map() {
    let [first, second] = two();
    for stream in 0..4 {
        assert_eq!(cluster(&first, 2 * stream).as_deref(), Some("kube-apiserver_cp-2"));
        assert_eq!(cluster(&second, 2 * stream + 1).as_deref(), Some("other_cp-2"));
    }
}

#[test]
fn a_push_to_one_control_plane_leaves_the_others_alone() {
    let [first, second] = two();
    first.configure(&changed(|map| map["sets"][1]["cluster"] = "new".into())).unwrap();
    assert_eq!(cluster(&first, 1).as_deref(), Some("new"));
    assert_eq!(cluster(&second, 2).as_deref(), Some("other_cp-2"));
    assert!(second.configure("{}").is_err());
    assert_eq!(cluster(&second, 3).as_deref(), Some("other_cp-2"));
    assert_eq!(cluster(&first, 4).as_deref(), Some("new"));
}

#[test]
fn a_control_plane_without_a_map_does_not_use_another_ones_map() {
    let [first, second] = two();
    let third = first.beside("third");
    assert_eq!(third.configure("null"), Ok(()));
    assert!(is_without_a_map(&third, 1));
    assert!(!is_without_a_map(&second, 2));
    second.configure("null").unwrap();
    assert_eq!(cluster(&second, 3).as_deref(), Some("other_cp-2"));
    let only = MockProxy::default();
    only.configure("null").unwrap();
    only.beside("second").configure(GOLDEN).unwrap();
    assert!(is_without_a_map(&only, 1));
}

#[test]
fn a_stream_whose_control_plane_is_not_known_gets_no_map() {
    let [first, _second] = two();
    let failing = first.failing(Call::RootId);
    assert!(is_without_a_map(&failing, 1));
    assert_eq!(failing.trailers(StreamId(2), &[("x", "y")]), Action::Pause);
    assert_eq!(failing.response(StreamId(3), &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(failing.stream(StreamId(3)).codes(), [503]);
}

#[test]
fn a_map_whose_control_plane_is_not_known_is_used_by_none() {
    let first = MockProxy::golden();
    let second = first.beside("second").failing(Call::RootId);
    assert_eq!(second.configure(&other_map()), Ok(()));
    assert!(second.configure("{}").is_err(), "the result depends on the bytes alone");
    first.host.change(|state| state.failing.clear());
    assert_eq!(cluster(&first, 1).as_deref(), Some("kube-apiserver_cp-2"));
    assert!(is_without_a_map(&second, 2));
}

#[test]
fn the_host_is_asked_for_the_control_plane_only_if_there_are_several() {
    let first = MockProxy::golden();
    let _ = first.calls();
    first.get(STREAM, COMMON);
    assert_eq!(first.calls(), [Call::Headers]);
    let second = first.beside("second");
    second.configure("null").unwrap();
    let _ = first.calls();
    first.get(STREAM, COMMON);
    assert_eq!(first.calls(), [Call::RootId, Call::Headers]);
}

#[test]
fn streams_of_one_control_plane_evict_nothing_of_another() {
    let [first, second] = two();
    second.response(STREAM, &PLAIN_404, false);
    get_discovery(&second, StreamId(2));
    second.response(StreamId(2), &[(":status", "200")], false);
    for stream in 0..u32::try_from(2 * GENERATION + MAX_BODIES).unwrap() {
        let stream = StreamId(100 + stream);
        first.response(stream, &PLAIN_404, false);
        if stream.0.is_multiple_of(32) {
            get_discovery(&first, stream);
            first.response(stream, &[(":status", "200")], false);
        }
        first.host.change(|state| drop(state.streams.remove(&stream)));
    }
    assert_eq!(second.body(STREAM, TYPE_LEVEL, true), Action::Pause);
    assert_eq!(second.stream(STREAM).codes(), [503]);
    assert_eq!(second.body(StreamId(2), b"{}", true), Action::Drop);
    assert_eq!(second.stream(StreamId(2)).codes(), [200]);
}

/// Returns the filters at the servers of two control planes.
fn at_servers() -> [MockProxy; 2] {
    let [first, _] = two();
    let first = first.at_server();
    let at_second = first.beside("second");
    at_second.judge_attempts();
    [first, at_second]
}

/// Returns whether another server is asked after a 404 of this one.
fn is_asked_again(proxy: &MockProxy, stream: u32, server: &str) -> bool {
    proxy.change(StreamId(stream), |stream| {
        stream.server = server.to_owned();
        stream.cluster = "kube-apiserver__rotation".to_owned();
    });
    proxy.response(StreamId(stream), &PLAIN_404_HEAD, true);
    proxy.stream(StreamId(stream)).is_marked
}

#[test]
fn one_control_plane_cannot_use_up_the_budget_of_another() {
    let [first, second] = at_servers();
    let asked = (0..2 * PER_SECOND).filter(|&stream| is_asked_again(&first, stream, "10.0.0.1:1"));
    assert!(asked.count() < usize::try_from(PER_SECOND).unwrap());
    assert!(is_asked_again(&second, 9_999, "10.0.0.1:1"));
}

#[test]
fn the_servers_of_one_control_plane_prove_nothing_of_another() {
    let [first, second] = two();
    second.configure(&changed(|map| map["rotation"] = serde_json::json!(["10.9.9.9:1"]))).unwrap();
    let key = |name: &str| format!("evidence/{name}").into_bytes();
    let shared = first.host.state().shared.clone();
    assert_eq!(shared.keys().collect::<Vec<_>>(), [&key("first"), &key("second")]);
    let first = first.at_server();
    let second = first.beside("second");
    second.judge_attempts();
    assert!(!is_asked_again(&second, 1, "10.9.9.9:1"), "it is proved: that was the only server");
    assert!(is_asked_again(&first, 2, "10.9.9.9:1"));
}

#[test]
fn a_404_at_a_server_whose_control_plane_is_not_known_is_not_proved() {
    let [first, _second] = at_servers();
    let failing = first.failing(Call::RootId);
    failing.change(STREAM, |stream| stream.is_marked = true);
    assert!(!is_asked_again(&failing, STREAM.0, "10.0.0.1:1"));
    assert_eq!(failing.metric("type_level_not_found_total.outcome.unproved"), Some(1));
    assert!(!failing.stream(STREAM).filter_state.contains_key(routing::interest::STATE));
}

#[test]
fn a_control_plane_that_is_removed_is_forgotten() {
    let [first, second] = two();
    second.remove();
    // A tick of another finds out.
    first.tick();
    let _ = first.calls();
    first.get(STREAM, COMMON);
    assert!(!first.calls().contains(&Call::RootId), "it is the only one again");
}

#[test]
fn pushes_forget_what_is_removed_however_many_there_are() {
    let stays = MockProxy::golden();
    for round in 0..3 {
        let all: Vec<_> = (0..200).map(|name| stays.beside(&format!("{round}-{name}"))).collect();
        all.iter().for_each(|proxy| proxy.configure(GOLDEN).unwrap());
        assert_eq!(cluster(&all[7], 1).as_deref(), Some("kube-apiserver_cp-2"));
        all.iter().for_each(MockProxy::remove);
        for _ in 0..=200 / 16 {
            stays.configure(GOLDEN).unwrap();
        }
        let _ = stays.calls();
        stays.get(STREAM, COMMON);
        assert!(!stays.calls().contains(&Call::RootId), "round {round}");
    }
}

#[test]
fn a_control_plane_lives_while_the_host_has_any_configuration_of_it() {
    let [first, second] = two();
    second.configure(&other_map()).unwrap();
    second.drop_older();
    (0..4).for_each(|_| first.tick());
    assert_eq!(cluster(&second, 1).as_deref(), Some("other_cp-2"));
}

#[test]
fn a_host_that_tells_nothing_of_configurations_keeps_all() {
    let [first, second] = two();
    let first = first.failing(Call::IsGone);
    second.remove();
    first.tick();
    let _ = first.calls();
    first.get(STREAM, COMMON);
    assert!(first.calls().contains(&Call::RootId));
}

#[test]
fn a_control_plane_of_a_removed_ones_name_begins_anew() {
    for is_found_out in [true, false] {
        let [first, second] = two();
        let generation = |generation: u64| changed(|map| map["generation"] = generation.into());
        second.configure(&generation(99)).unwrap();
        second.remove();
        if is_found_out {
            first.tick();
            assert_eq!(second.shared().last().unwrap().value, b"");
        }
        let again = first.beside("second");
        again.configure("null").unwrap();
        assert!(is_without_a_map(&again, 1));
        again.configure(&generation(7)).unwrap();
        assert!(again.shared().last().unwrap().value.starts_with(b"7\0"));
    }
}

#[test]
fn what_proves_404s_now_is_not_taken_back_with_an_older_map() {
    let [first, second] = two();
    second.remove();
    // Another worker was faster.
    let evidence = second.shared().last().unwrap().clone();
    let newer = filter_core::Shared { value: b"8\x000\x0010.9.9.9:1".into(), ..evidence };
    second.hear(newer.clone());
    first.tick();
    assert_eq!(second.shared().last(), Some(&newer));
}

#[test]
fn a_control_plane_without_requests_does_not_tick() {
    let [first, second] = two();
    for proxy in [&first, &second] {
        assert_eq!(proxy.period(), Some(Duration::from_secs(1)));
        proxy.tick();
        assert_eq!(proxy.period(), None);
    }
    first.get(STREAM, COMMON);
    assert_eq!((first.period(), second.period()), (Some(Duration::from_secs(1)), None));
    first.tick();
    assert_eq!(first.period(), None);
}

#[test]
fn a_tick_of_one_tells_what_was_counted_of_all() {
    let [first, second] = two();
    first.get(StreamId(1), SKEWED);
    second.get(StreamId(2), SKEWED);
    assert_eq!(first.metric("requests_total.decision.skewed"), Some(2));
}

#[test]
fn a_push_takes_over_the_ticks_of_the_configuration_before() {
    let proxy = MockProxy::golden();
    for map in ["null", GOLDEN] {
        proxy.get(STREAM, COMMON);
        proxy.configure(map).unwrap();
        let ticks = proxy.host.state().ticks.clone();
        assert_eq!((ticks.len(), proxy.period()), (1, Some(Duration::from_secs(1))), "{map}");
    }
}

#[test]
fn the_gauges_show_all_maps_in_use() {
    let [first, second] = two();
    let gauges = || {
        ["map_generation", "skewed_targets", "map_complete"].map(|name| first.metric(name).unwrap())
    };
    assert_eq!(gauges(), [0, 6, 1]);
    second.configure(&changed(|map| map["complete"] = false.into())).unwrap();
    assert_eq!(gauges(), [0, 6, 0]);
    second.remove();
    assert_eq!(gauges(), [42, 3, 1]);
    first.beside("third").configure("null").unwrap();
    assert_eq!(gauges(), [42, 3, 1]);
}
