//! Maps that are pushed, and what stays when one is refused.

use std::time::Duration;

use filter_core::Action;
use filter_core::mock::{GOLDEN, MockProxy};

use crate::setup::*;

#[test]
fn a_valid_map_is_taken_into_use() {
    let proxy = MockProxy::default();
    assert_eq!(proxy.configure(GOLDEN), Ok(()));
    assert_eq!(proxy.get(STREAM, COMMON), Action::Continue);
}

#[test]
fn a_map_in_use_asks_for_a_tick_each_second() {
    assert_eq!(MockProxy::golden().period(), Some(Duration::from_secs(1)));
}

#[test]
fn a_refused_map_asks_for_no_tick() {
    assert_eq!(MockProxy::with_map("{}").period(), None);
}

#[test]
fn a_map_with_a_fault_is_refused_with_its_place() {
    let error = MockProxy::golden().configure(&changed(|map| map["widestView"] = 9.into()));
    assert_eq!(
        error.unwrap_err().to_string(),
        "widestView: set index 9 is out of range: the map has 3 sets"
    );
}

#[test]
fn a_map_with_an_unknown_field_is_refused_with_its_name() {
    let proxy = MockProxy::golden();
    let error = proxy.configure(&changed(|map| map["answeringVersion"] = "1.36".into()));
    assert!(error.unwrap_err().to_string().contains("unknown field `answeringVersion`"));
    // The last map stays in use.
    proxy.get(STREAM, SKEWED);
    let cluster = proxy.stream(STREAM).sent("x-mixed-version-proxy-cluster");
    assert_eq!(cluster.as_deref(), Some("kube-apiserver_cp-2"));
}

#[test]
fn a_map_of_another_schema_version_is_refused_by_that_name() {
    let error = MockProxy::golden().configure(&changed(|map| map["schemaVersion"] = 2.into()));
    assert!(
        error.unwrap_err().to_string().starts_with("schemaVersion: version 2 is not supported")
    );
}

#[test]
fn a_map_whose_document_cannot_be_unpacked_is_refused() {
    let proxy = MockProxy::golden();
    let error = proxy.configure(&changed(|map| map["documents"][0]["size"] = 95.into()));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("documents[0].gzip: must unpack to 95 bytes"));
}

#[test]
fn text_that_is_not_json_is_refused() {
    let error = MockProxy::default().configure("no").unwrap_err().to_string();
    assert!(error.starts_with("document: "), "{error}");
}

#[test]
fn an_empty_configuration_is_refused() {
    assert!(MockProxy::default().configure("").is_err());
}

#[test]
fn a_configuration_without_a_map_is_accepted_and_changes_nothing() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.configure("null"), Ok(()));
    assert_eq!(proxy.get(STREAM, COMMON), Action::Continue);
}

#[test]
fn without_a_map_a_request_is_answered_503() {
    let proxy = MockProxy::default();
    assert_eq!(proxy.configure("null"), Ok(()));
    assert_eq!(proxy.get(STREAM, COMMON), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!((reply.code, reply.header("retry-after")), (503, "1".to_owned()));
    assert!(reply.text().contains("no discovery map yet"), "{}", reply.text());
}

#[test]
fn without_a_map_trailers_end_the_request() {
    let proxy = MockProxy::default();
    assert_eq!(proxy.trailers(STREAM, &[("x", "y")]), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn without_a_map_a_type_level_404_is_replaced() {
    let proxy = MockProxy::default();
    assert_eq!(proxy.response(STREAM, &PLAIN_404_HEAD, true), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn a_push_replaces_the_map_for_streams_that_began_before() {
    let proxy = MockProxy::golden();
    get_discovery(&proxy, STREAM);
    proxy.configure(&changed(|map| map["documents"] = serde_json::json!([]))).unwrap();
    proxy.response(STREAM, &[(":status", "200")], true);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn the_gauges_show_the_map_in_use() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.metric("map_generation"), Some(42));
    assert_eq!(proxy.metric("skewed_targets"), Some(3));
    assert_eq!(proxy.metric("map_complete"), Some(1));
    proxy.configure(&changed(|map| map["complete"] = false.into())).unwrap();
    assert_eq!(proxy.metric("map_complete"), Some(0));
}

#[test]
fn a_refused_map_leaves_the_gauges_alone() {
    let proxy = MockProxy::golden();
    drop(proxy.configure(&changed(|map| {
        map["generation"] = 43.into();
        map["widestView"] = 9.into();
    })));
    assert_eq!(proxy.metric("map_generation"), Some(42));
}
