//! What becomes of components' requests while servers have different versions: `cp-1` is 1.36, `cp-2` is
//! 1.37.

use filter_core::mock::{Call, MockProxy};
use filter_core::{Action, MOST_LOGGED, StreamId};
use routing::interest::DECISION;
use serde_json::json;

use crate::setup::*;

const KUBELET: &str = "kubelet/v1.37.0 (linux/amd64) kubernetes/1a2b3c4";
const CLUSTER: &str = "x-mixed-version-proxy-cluster";
const PART: &str = "kube-apiserver__from-1-37";

fn get_as(proxy: &MockProxy, stream: StreamId, user_agent: &str, path: &str) -> Option<String> {
    let headers = [(":method", "GET"), (":path", path), ("user-agent", user_agent)];
    assert_eq!(proxy.request(stream, &headers), Action::Continue, "{user_agent} {path}");
    proxy.stream(stream).sent(CLUSTER)
}

fn counted(proxy: &MockProxy, component: &str, outcome: &str) -> u64 {
    let name = format!("skew_policy_requests_total.component.{component}.outcome.{outcome}");
    proxy.metric(&name).unwrap()
}

#[test]
fn a_component_goes_to_servers_that_are_as_new_as_itself_and_is_counted_at_the_tick() {
    let proxy = MockProxy::golden();
    assert_eq!(get_as(&proxy, STREAM, KUBELET, COMMON).as_deref(), Some(PART));
    let twice = get_as(&proxy, StreamId(2), "kube-proxy/v1.37.1", UNKNOWN);
    assert_eq!(twice.as_deref(), Some("kube-apiserver__rotation__from-1-37"));
    assert_eq!(get_as(&proxy, StreamId(3), "kubectl/v1.37.1", COMMON), None);
    assert_eq!(get_as(&proxy, StreamId(4), "kubelet/v1.36.3", COMMON), None);
    proxy.tick();
    assert_eq!(counted(&proxy, "kubelet", "kept"), 1);
    assert_eq!(counted(&proxy, "kube_proxy", "kept"), 1);
    assert!(proxy.host.state().log.is_empty());
}

#[test]
fn a_component_that_no_server_is_new_enough_for_is_counted_and_logged_once() {
    let proxy = MockProxy::golden();
    for stream in 1..4 {
        assert_eq!(get_as(&proxy, StreamId(stream), "kube-scheduler/v1.38.0", COMMON), None);
    }
    proxy.tick();
    assert_eq!(counted(&proxy, "kube_scheduler", "none_in_rotation"), 3);
    let log = proxy.host.state().log.clone();
    assert_eq!(
        log,
        [
            "kube-scheduler 1.38: no API server that is at least as new is in rotation, so older ones \
         answer (version skew policy)"
        ]
    );
}

#[test]
fn what_only_older_servers_serve_is_counted_apart() {
    let older = |map: &mut serde_json::Value| {
        let (peers, cluster) = ([0], "kube-apiserver_cp-1");
        map["sets"][1] =
            json!({ "peers": peers, "cluster": cluster, "atLeast": {"1.36": cluster} });
    };
    let proxy = MockProxy::with_map(&changed(older));
    let cluster = get_as(&proxy, STREAM, KUBELET, SKEWED);
    assert_eq!(cluster.as_deref(), Some("kube-apiserver_cp-1"));
    proxy.tick();
    assert_eq!(counted(&proxy, "kubelet", "none_serves"), 1);
    assert!(proxy.host.state().log[0].contains("at least as new serves what it asks for"));
}

#[test]
fn the_log_names_a_bounded_number_of_claimed_versions() {
    let proxy = MockProxy::golden();
    for number in 0..500 {
        get_as(&proxy, StreamId(number), &format!("kubelet/v1.{}.0", 100 + number), COMMON);
    }
    let log = proxy.host.state().log.clone();
    assert_eq!(log.len(), MOST_LOGGED);
    assert!(log.last().unwrap().ends_with("; further components are not logged"));
    proxy.tick();
    assert_eq!(counted(&proxy, "kubelet", "none_in_rotation"), 500);
}

#[test]
fn the_decision_of_a_component_is_in_the_access_log_if_the_policy_mattered() {
    let kept = |user_agent| {
        let proxy = MockProxy::golden();
        get_as(&proxy, STREAM, user_agent, COMMON);
        let state = proxy.stream(STREAM).filter_state;
        state.get(DECISION).map(|trace| String::from_utf8(trace.clone()).unwrap())
    };
    let trace =
        "reason=common, servers=(\"cp-2\"), skew-policy=kept;component=kubelet;version=\"1.37\"";
    assert_eq!(kept(KUBELET).as_deref(), Some(trace));
    assert_eq!(kept("kubelet/v1.36.3"), None);
    assert_eq!(kept("kubectl/v1.37.0"), None);
}

#[test]
fn a_component_costs_two_calls_more_than_others_and_nothing_while_servers_have_one_version() {
    let calls = |proxy: &MockProxy| {
        let _ = proxy.calls();
        get_as(proxy, STREAM, KUBELET, COMMON);
        proxy.calls()
    };
    let [headers, state, cluster] = [Call::Headers, Call::SetFilterState, Call::SetClusterHeader];
    assert_eq!(calls(&MockProxy::golden()), [headers, state, cluster]);
    let one_version = changed(|map| {
        for set in map["sets"].as_array_mut().unwrap() {
            set.as_object_mut().unwrap().remove("atLeast");
        }
    });
    assert_eq!(calls(&MockProxy::with_map(&one_version)), [headers]);
}

#[test]
fn an_identity_does_not_depend_on_a_claimed_version() {
    let request = |user_agent| {
        let proxy = MockProxy::golden();
        let claim = ("x-remote-user", "system:node:n");
        let headers = [(":method", "GET"), (":path", COMMON), ("user-agent", user_agent), claim];
        proxy.request(STREAM, &headers);
        let stream = proxy.stream(STREAM);
        (stream.sent("x-remote-user"), stream.sent("x-remote-group"))
    };
    assert_eq!(request(KUBELET), (None, None));
    assert_eq!(request("kubectl/v1.37.0"), (None, None));
}
