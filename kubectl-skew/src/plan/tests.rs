//! The plan of an upgrade of two servers, for people and programs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::audit::Audit;
use super::changes::{self, tests::row};
use super::rollout::{Rollout, tests::peers};
use super::{Found, Plan, Resource};
use crate::builtin::{ApiType, tests::table};
use crate::check::Verdict;
use crate::screen::Screen;
use crate::types::Row;

const REQUESTS: &str = "apiserver_request_total{group=\"a.io\",resource=\"wands\",subresource=\"\",verb=\"LIST\",version=\"v1alpha1\"} 7\n";

fn wands() -> ApiType {
    ApiType::new("a.io", "v1alpha1", "wands")
}

/// Returns what is found out if nobody uses anything.
fn unused() -> Found {
    let resource = Resource { objects: Some(0), versions: Vec::new() };
    Found { usage_is_complete: true, resources: [(wands(), resource)].into(), ..Found::default() }
}

fn plan(rows: &[Row], found: Found) -> Plan {
    let (table, to) = (table(), "1.37".parse().unwrap());
    let rollout = Rollout::new(&peers(&[("cp-1", "1.36"), ("cp-2", "1.36")]), to, &[]).unwrap();
    let (from, to) = (table.release(rollout.from).unwrap(), table.release(to).unwrap());
    let changes = changes::of(rows, &rollout, from, to);
    Plan::new(&rollout, changes, found)
}

fn removing(found: Found) -> Plan {
    plan(&[row("a.io", "v1alpha1", "wands", &["cp-1", "cp-2"])], found)
}

#[test]
fn an_upgrade_that_only_adds_may_go_on() {
    let plan = plan(&[], Found { not_examined: vec!["metrics".to_owned()], ..Found::default() });
    assert_eq!(plan.verdict, Verdict::Yes);
    let text = plan.text(false, &Screen::default());
    assert!(text.contains("a.io/v1 bundles          after cp-2\n"), "{text}");
    assert!(text.contains("1      cp-1     1 of 2         1 of 2\n"), "{text}");
    assert!(text.contains("1.37 removes no type that these servers serve."), "{text}");
    assert!(text.contains("Not examined: metrics\n"), "{text}");
    assert!(
        !text.contains("hats") && plan.text(true, &Screen::default()).contains("hats"),
        "{text}"
    );
}

#[test]
fn requests_for_what_goes_are_a_reason_not_to_go_on() {
    let mut found = unused();
    assert_eq!(removing(unused()).verdict, Verdict::Yes);
    found.usage.add("cp-2", REQUESTS);
    let plan = removing(found);
    assert_eq!(plan.verdict, Verdict::No);
    let document = serde_json::to_value(&plan).unwrap();
    let expected = json!({
        "group": "a.io", "version": "v1alpha1", "resource": "wands", "servedBy": ["cp-1", "cp-2"],
        "gone": { "after": "cp-2" }, "otherVersions": [], "requests": 7, "requestedAt": ["cp-2"],
        "users": [], "objects": 0, "verdict": "no",
    });
    assert_eq!(document["removed"], json!([expected]));
    let text = plan.text(false, &Screen::default());
    assert!(text.contains("a.io/v1alpha1 wands   after cp-2"), "{text}");
    assert!(text.contains("change its clients before the upgrade"), "{text}");
}

#[test]
fn objects_are_a_reason_unless_they_stay_in_another_version() {
    let with = |objects, versions: &[&str]| {
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        let mut found = unused();
        found.resources.insert(wands(), Resource { objects, versions });
        removing(found).verdict
    };
    assert_eq!(with(Some(3), &[]), Verdict::No);
    assert_eq!(with(Some(3), &["v1"]), Verdict::Yes);
    assert_eq!(with(None, &[]), Verdict::Unknown);
    assert_eq!(with(None, &["v1"]), Verdict::Yes);
}

#[test]
fn requests_are_unknown_if_a_server_was_not_asked_and_the_others_got_none() {
    let mut found = unused();
    found.usage_is_complete = false;
    assert_eq!(removing(found).verdict, Verdict::Unknown);
    let mut found = unused();
    found.usage_is_complete = false;
    found.usage.add("cp-1", REQUESTS);
    assert_eq!(removing(found).verdict, Verdict::No);
}

#[test]
fn an_audit_log_names_the_users_of_what_goes() {
    let event = json!({
        "auditID": "1", "user": { "username": "jane" }, "userAgent": "wander/2",
        "objectRef": { "resource": "wands", "apiGroup": "a.io", "apiVersion": "v1alpha1" },
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), event.to_string()).unwrap();
    let mut found = unused();
    found.audit = Audit::default();
    found.audit.read(file.path(), &BTreeSet::from([&wands()])).unwrap();
    let plan = removing(found);
    assert_eq!(plan.verdict, Verdict::No);
    let document = serde_json::to_value(&plan).unwrap();
    let user = json!([{ "user": "jane", "userAgent": "wander/2", "requests": 1 }]);
    assert_eq!(document["removed"][0]["users"], user);
    let text = plan.text(false, &Screen::default());
    assert!(text.contains("a.io/v1alpha1 wands   jane   wander/2     1\n"), "{text}");
}

#[test]
fn what_a_flag_keeps_is_worth_a_warning_if_it_is_used() {
    let rows = [row("b.io", "v1beta2", "addresses", &["cp-1", "cp-2"])];
    assert_eq!(plan(&rows, unused()).verdict, Verdict::Yes);
    let mut found = unused();
    found.usage.add(
        "cp-1",
        &REQUESTS
            .replace("a.io", "b.io")
            .replace("wands", "addresses")
            .replace("v1alpha1", "v1beta2"),
    );
    let plan = plan(&rows, found);
    assert_eq!(plan.verdict, Verdict::Warning);
    let text = plan.text(false, &Screen::default());
    assert!(text.contains("OFF BY DEFAULT IN 1.37") && text.contains("--runtime-config"), "{text}");
}

#[test]
fn a_custom_resource_that_is_built_in_next_is_worth_a_warning() {
    let mut found = unused();
    found.custom_resources.conflicts = vec![ApiType::new("a.io", "v1", "bundles")];
    let plan = plan(&[], found);
    assert_eq!(plan.verdict, Verdict::Warning);
    let document: Value = serde_json::to_value(&plan).unwrap();
    assert_eq!(document["customResources"]["conflicts"][0]["resource"], "bundles");
}
