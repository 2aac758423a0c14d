//! Who is told how a request was decided.

use filter_core::mock::{Call, MockProxy};
use filter_core::{Action, Certificate};
use routing::interest::{DECISION, DECISION_FOR_CLIENT};
use serde_json::json;

use crate::setup::*;

/// A filter that tells users of this group.
fn telling(group: &str) -> MockProxy {
    MockProxy::with_map(&changed(|map| map["decisionHeaderGroups"] = json!([group])))
}

fn get_as(proxy: &MockProxy, subject: &str, path: &str) -> Action {
    proxy.change(STREAM, |stream| {
        let sha256 = "0".repeat(64).into();
        stream.certificate = Some(Certificate { subject: subject.into(), sha256 });
    });
    proxy.request(STREAM, &[(":method", "GET"), (":path", path), ("x-forwarded-client-cert", "")])
}

fn kept(proxy: &MockProxy, key: &str) -> Option<String> {
    let state = proxy.stream(STREAM).filter_state;
    Some(String::from_utf8(state.get(key)?.clone()).unwrap())
}

#[test]
fn users_of_a_configured_group_are_told_of_every_request() {
    for (path, trace) in [
        (COMMON, "reason=common"),
        (SKEWED, "reason=skewed, servers=(\"cp-2\")"),
        (UNAVAILABLE, "reason=unavailable, servers=(\"cp-3\")"),
    ] {
        let proxy = telling("sre");
        get_as(&proxy, "CN=jane,O=dev,O=sre", path);
        assert_eq!(kept(&proxy, DECISION_FOR_CLIENT).as_deref(), Some(trace));
    }
}

#[test]
fn users_without_a_configured_group_are_not_told_of_decisions() {
    let proxy = telling("sre");
    for subject in ["CN=jane,O=dev", "CN=sre", "CN=jane,O=sre2"] {
        get_as(&proxy, subject, SKEWED);
        assert_eq!(kept(&proxy, DECISION_FOR_CLIENT), None, "{subject}");
    }
    let claims = [("x-remote-group", "sre"), ("x-remote-user", "jane")];
    let start = [(":method", "GET"), (":path", SKEWED)];
    proxy.request(STREAM, &[&start[..], &claims].concat());
    assert_eq!(kept(&proxy, DECISION_FOR_CLIENT), None);

    let proxy = MockProxy::golden();
    get_as(&proxy, "CN=jane,O=sre", SKEWED);
    assert_eq!(kept(&proxy, DECISION_FOR_CLIENT), None);
}

#[test]
fn decisions_are_logged_unless_every_server_can_answer() {
    for (path, trace) in [
        (COMMON, None),
        ("/healthz", None),
        (SKEWED, Some("reason=skewed, servers=(\"cp-2\")")),
        (UNKNOWN, Some("reason=unknown")),
    ] {
        let proxy = MockProxy::golden();
        proxy.get(STREAM, path);
        assert_eq!(kept(&proxy, DECISION).as_deref(), trace, "{path}");
    }
}

#[test]
fn a_request_goes_on_if_the_host_does_not_keep_its_trace() {
    let proxy = telling("sre").failing(Call::SetFilterState);
    assert_eq!(get_as(&proxy, "CN=jane,O=sre", COMMON), Action::Continue);
}
