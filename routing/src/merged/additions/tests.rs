//! What is added to a merged document, on each level and in each kind of document.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::with_additions;

fn merged_with(merged: &Value, own: &Value) -> Option<Value> {
    let whole = with_additions(&merged.to_string(), &own.to_string())?;
    Some(serde_json::from_str(&whole).unwrap())
}

fn group(name: &str, version: &str, resources: &[Value]) -> Value {
    json!({
        "metadata": { "name": name },
        "versions": [{ "version": version, "resources": resources }],
    })
}

fn resource(name: &str, subresources: &[&str]) -> Value {
    let listed: Vec<_> = subresources.iter().map(|name| json!({ "subresource": name })).collect();
    let mut resource = json!({ "resource": name, "verbs": ["get"] });
    if !listed.is_empty() {
        resource["subresources"] = listed.into();
    }
    resource
}

fn aggregated(items: &[Value]) -> Value {
    json!({ "kind": "APIGroupDiscoveryList", "items": items })
}

#[test]
fn nothing_is_added_if_the_server_lists_no_more() {
    let merged = aggregated(&[group("a", "v1", &[resource("x", &["status"])])]);
    assert_eq!(merged_with(&merged, &merged), None);
    assert_eq!(merged_with(&merged, &aggregated(&[])), None);
    assert_eq!(merged_with(&merged, &json!({ "kind": "APIGroupList", "groups": [] })), None);
}

#[test]
fn an_entry_is_added_on_each_level_of_an_aggregated_document() {
    let known = resource("x", &["status"]);
    let merged = aggregated(&[group("a", "v1", std::slice::from_ref(&known))]);
    let new = group("b", "v1", &[resource("y", &[])]);
    let own = aggregated(std::slice::from_ref(&new));
    let expected = aggregated(&[group("a", "v1", std::slice::from_ref(&known)), new]);
    assert_eq!(merged_with(&merged, &own), Some(expected));

    let mut both_versions = group("a", "v1", std::slice::from_ref(&known));
    let version = json!({ "version": "v2", "resources": [] });
    both_versions["versions"].as_array_mut().unwrap().push(version.clone());
    let own = aggregated(&[json!({ "metadata": { "name": "a" }, "versions": [version] })]);
    assert_eq!(merged_with(&merged, &own), Some(aggregated(&[both_versions])));

    let own = aggregated(&[group("a", "v1", &[resource("y", &[])])]);
    let expected = aggregated(&[group("a", "v1", &[known, resource("y", &[])])]);
    assert_eq!(merged_with(&merged, &own), Some(expected));

    let own = aggregated(&[group("a", "v1", &[resource("x", &["scale"])])]);
    let expected = aggregated(&[group("a", "v1", &[resource("x", &["status", "scale"])])]);
    assert_eq!(merged_with(&merged, &own), Some(expected));
}

#[test]
fn a_list_that_the_merged_document_lacks_is_added() {
    let merged = aggregated(&[group("a", "v1", &[resource("x", &[])])]);
    let own = aggregated(&[group("a", "v1", &[resource("x", &["status"])])]);
    assert_eq!(merged_with(&merged, &own), Some(own));
}

#[test]
fn what_both_list_stays_as_the_merged_document_has_it() {
    let merged = aggregated(&[group("a", "v1", &[resource("x", &[])])]);
    let mut own = merged.clone();
    own["items"][0]["versions"][0]["resources"][0]["verbs"] = json!(["get", "list"]);
    own["items"][0]["versions"][0]["freshness"] = "Stale".into();
    assert_eq!(merged_with(&merged, &own), None);
}

#[test]
fn the_older_documents_are_extended() {
    let version = |name: &str| json!({ "groupVersion": name, "version": "v1" });
    let group = |name: &str, versions: &[Value]| json!({ "name": name, "versions": versions });
    let groups = |groups: &[Value]| json!({ "kind": "APIGroupList", "groups": groups });
    let resources = |names: &[&str]| {
        let resources: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "kind": "APIResourceList", "groupVersion": "a/v1", "resources": resources })
    };
    let paths = |paths: &[&str]| {
        let url = |path: &&str| ((*path).to_owned(), json!({ "serverRelativeURL": path }));
        json!({ "paths": paths.iter().map(url).collect::<serde_json::Map<_, _>>() })
    };
    let table = [
        (
            groups(&[group("a", &[version("a/v1")])]),
            groups(&[group("a", &[version("a/v2")]), group("b", &[])]),
            groups(&[group("a", &[version("a/v1"), version("a/v2")]), group("b", &[])]),
        ),
        (
            group("a", &[version("a/v1")]),
            group("a", &[version("a/v2")]),
            group("a", &[version("a/v1"), version("a/v2")]),
        ),
        (resources(&["x"]), resources(&["y", "x/status", "x"]), resources(&["x", "y", "x/status"])),
        (resources(&[]), resources(&["y"]), resources(&["y"])),
        (paths(&["api"]), paths(&["apis/b/v1", "api"]), paths(&["api", "apis/b/v1"])),
    ];
    for (merged, own, expected) in table {
        assert_eq!(merged_with(&merged, &own), Some(expected), "{merged} and {own}");
    }
}

#[test]
fn an_indented_document_adds_compact_entries() {
    let merged = aggregated(&[group("a", "v1", &[])]).to_string();
    let mut new = group("b \" } \\", "v1", &[resource("y z", &[])]);
    new["x"] = json!({ "text": "a  b\t\"c\"" });
    let own = aggregated(&[new.clone(), group("a", "v1", &[])]);
    let own = serde_json::to_string_pretty(&own).unwrap();
    let expected = aggregated(&[group("a", "v1", &[]), new]).to_string();
    assert_eq!(with_additions(&merged, &own), Some(expected));
}

#[test]
fn a_document_that_is_not_what_it_should_be_adds_nothing() {
    let merged = aggregated(&[group("a", "v1", &[])]).to_string();
    for own in ["", "null", "[]", "{", "{\"items\":7}", "{\"items\":[7,{}]}", "\"items\""] {
        assert_eq!(with_additions(&merged, own), None, "{own}");
    }
}

#[test]
fn what_is_malformed_in_one_entry_hides_no_other() {
    let merged = aggregated(&[group("a", "v1", &[])]);
    let (mut malformed, new) = (group("a", "v1", &[]), group("b", "v1", &[]));
    malformed["versions"][0]["resources"] = Value::Null;
    let own = aggregated(&[malformed, new.clone()]);
    let expected = aggregated(&[group("a", "v1", &[]), new]);
    assert_eq!(merged_with(&merged, &own), Some(expected));
}

#[test]
fn the_core_group_has_no_name() {
    let core = |resources: &[Value]| {
        let mut core = group("", "v1", resources);
        core["metadata"] = json!({});
        aggregated(&[core])
    };
    let (pods, nodes) = (resource("pods", &[]), resource("nodes", &[]));
    let merged = core(std::slice::from_ref(&pods));
    let own = core(&[nodes.clone(), pods.clone()]);
    assert_eq!(merged_with(&merged, &own), Some(core(&[pods, nodes])));
}

/// Groups with versions, and versions with resources, by small numbers.
type Names = BTreeMap<u8, BTreeMap<u8, Vec<u8>>>;

fn document(names: &Names) -> Value {
    let resources = |names: &[u8]| -> Vec<_> {
        let named: BTreeSet<_> = names.iter().collect();
        named.into_iter().map(|name| resource(&format!("r{name}"), &[])).collect()
    };
    let versions = |versions: &BTreeMap<u8, Vec<u8>>| -> Vec<_> {
        let version = |(version, names): (&u8, &Vec<u8>)| json!({ "version": format!("v{version}"), "resources": resources(names) });
        versions.iter().map(version).collect()
    };
    let items = names.iter().map(|(name, of)| {
        json!({ "metadata": { "name": format!("g{name}") }, "versions": versions(of) })
    });
    aggregated(&items.collect::<Vec<_>>())
}

fn types(document: &Value) -> BTreeSet<String> {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let mut types = BTreeSet::new();
    for group in list(document, "items") {
        for version in list(&group, "versions") {
            let of = format!("{}/{}", group["metadata"]["name"], version["version"]);
            types.extend(
                list(&version, "resources").iter().map(|r| format!("{of}/{}", r["resource"])),
            );
            types.insert(of);
        }
    }
    types
}

fn names() -> impl Strategy<Value = Names> {
    let resources = prop::collection::vec(0_u8..4, 0..4);
    prop::collection::btree_map(
        0_u8..4,
        prop::collection::btree_map(0_u8..3, resources, 0..3),
        0..4,
    )
}

proptest! {
    #[test]
    fn the_result_lists_what_either_lists_and_nothing_else(merged in names(), own in names()) {
        let (merged, own) = (document(&merged), document(&own));
        let whole = merged_with(&merged, &own);
        let expected: BTreeSet<_> =
            types(&merged).union(&types(&own)).cloned().collect();
        prop_assert_eq!(types(whole.as_ref().unwrap_or(&merged)), expected);
        if let Some(whole) = whole {
            // What was added is not added again.
            prop_assert_eq!(merged_with(&whole, &own), None);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(merged: String, own: String) {
        let _ = with_additions(&merged, &own);
        let _ = with_additions(&aggregated(&[]).to_string(), &own);
    }
}
