//! Both forms of discovery documents, read into listings.

use super::*;
use crate::legacy_reader::{LegacyGroupVersion, LegacyReader};
use crate::limits::MAX_NAME;

fn aggregated(json: &str, part: Part) -> Listing {
    match serde_json::from_str(json).unwrap() {
        DiscoveryDocument::Aggregated(list) => list.read(part),
        other => panic!("not aggregated: {other:?}"),
    }
}

fn legacy(json: &str) -> Vec<GroupVersion> {
    match serde_json::from_str(json).unwrap() {
        DiscoveryDocument::Legacy(list) => list,
        other => panic!("not legacy: {other:?}"),
    }
}

fn version<'l>(listing: &'l Listing, group: &str, version: &str) -> &'l Version {
    listing.group(group).unwrap().names.version(version).unwrap()
}

fn names(names: &[Box<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn aggregated_discovery_lists_resources_and_subresources() {
    let listing = aggregated(
        r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},
        "items":[{"metadata":{"name":"apps","creationTimestamp":null},"versions":[{"version":"v1",
        "freshness":"Current","resources":[{"resource":"deployments","verbs":["get"],
        "responseKind":{"group":"","version":"","kind":"Deployment"},"scope":"Namespaced",
        "subresources":[{"subresource":"scale","verbs":["get"]}]}]}]}]}"#,
        Part::Named,
    );
    let version = version(&listing, "apps", "v1");
    assert!(!version.stale);
    assert!(version.types.cluster_scoped.is_empty());
    assert_eq!(names(&version.types.namespaced), ["deployments", "deployments/scale"]);
}

#[test]
fn a_parent_without_verbs_is_not_served_itself() {
    let listing = aggregated(
        r#"{"kind":"APIGroupDiscoveryList","items":[{"versions":[{"version":"v1","freshness":"Stale",
        "resources":[{"resource":"pods","scope":"Cluster","verbs":null,"subresources":[{"subresource":"x"}]}]}]}]}"#,
        Part::Core,
    );
    let version = version(&listing, "", "v1");
    assert!(version.stale);
    assert_eq!(names(&version.types.cluster_scoped), ["pods/x"]);
}

#[test]
fn names_that_no_path_could_carry_are_left_out() {
    let listing = aggregated(
        r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"g"},"versions":[
        {"version":"","resources":[]},{"version":"v1","resources":[{"resource":"","verbs":["get"]},
        {"resource":"a/b","verbs":["get"]},{"resource":"ok","verbs":["get"],
        "subresources":[{"subresource":"x/y"},{"subresource":""}]}]}]},
        {"metadata":{"name":"empty"},"versions":[]},{"metadata":{},"versions":[{"version":"v9"}]}]}"#,
        Part::Named,
    );
    assert_eq!(listing.groups().iter().map(|g| &*g.names.name).collect::<Vec<_>>(), ["g"]);
    assert_eq!(listing.groups()[0].names.versions.len(), 1);
    assert_eq!(names(&version(&listing, "g", "v1").types.namespaced), ["ok"]);
}

#[test]
fn the_older_lists_name_their_group_versions() {
    let all = legacy(
        r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":
        [{"groupVersion":"apps/v1","version":"v1"},{"groupVersion":"apps/v2","version":"v2"}]}]}"#,
    );
    assert_eq!(all, [("apps".into(), "v1".into()), ("apps".into(), "v2".into())]);

    let json = r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#;
    assert_eq!(legacy(json), [("".into(), "v1".into())]);

    let json = r#"{"kind":"APIResourceList","resources":[{"name":"pods","namespaced":true},
        {"name":"pods/log","namespaced":true},{"name":"a/b/c"},{"name":"nodes","namespaced":false}]}"#;
    let list: LegacyGroupVersion = serde_json::from_str(json).unwrap();
    let types = list.types();
    assert_eq!(names(&types.namespaced), ["pods", "pods/log"]);
    assert_eq!(names(&types.cluster_scoped), ["nodes"]);
}

#[test]
fn another_kind_is_an_error() {
    assert!(serde_json::from_str::<DiscoveryDocument>(r#"{"kind":"Status","code":200}"#).is_err());
}

/// `count` items, made by their numbers.
fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

fn error<T: serde::de::DeserializeOwned>(json: &str) -> Option<String> {
    serde_json::from_str::<T>(json).err().map(|error| error.to_string())
}

/// Checks that a document may have `limit` of something, and not one more.
fn assert_limit<T: serde::de::DeserializeOwned>(limit: usize, json: impl Fn(usize) -> String) {
    assert_eq!(error::<T>(&json(limit)), None);
    let error = error::<T>(&json(limit + 1)).unwrap();
    assert!(error.starts_with(&format!("more than {limit} ")), "{error}");
}

#[test]
fn the_older_lists_have_no_more_groups_and_versions_than_aggregated_discovery() {
    assert_limit::<DiscoveryDocument>(MAX_INNER, |count| {
        let versions = list(count, |n| format!("\"v{n}\""));
        format!("{{\"kind\":\"APIVersions\",\"versions\":[{versions}]}}")
    });
    assert_limit::<DiscoveryDocument>(MAX_INNER, |count| {
        let versions = list(count, |n| format!("{{\"version\":\"v{n}\"}}"));
        format!(
            "{{\"kind\":\"APIGroupList\",\"groups\":[{{\"name\":\"g\",\"versions\":[{versions}]}}]}}"
        )
    });
    assert_limit::<DiscoveryDocument>(MAX_GROUPS, |count| {
        let groups = list(count, |n| format!("{{\"name\":\"g{n}\"}}"));
        format!("{{\"kind\":\"APIGroupList\",\"groups\":[{groups}]}}")
    });
    // Each has a document of its own.
    assert_limit::<DiscoveryDocument>(MAX_GROUPS, |count| {
        let group = |n: usize| {
            let versions =
                list((count - 100 * n).min(100), |n| format!("{{\"version\":\"v{n}\"}}"));
            format!("{{\"name\":\"g{n}\",\"versions\":[{versions}]}}")
        };
        let groups = list(count.div_ceil(100), group);
        format!("{{\"kind\":\"APIGroupList\",\"groups\":[{groups}]}}")
    });
}

#[test]
fn aggregated_discovery_has_no_more_types_than_any_control_plane() {
    let document =
        |groups: String| format!("{{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{groups}]}}");
    assert_limit::<DiscoveryDocument>(MAX_GROUPS, |count| {
        document(list(count, |n| format!("{{\"metadata\":{{\"name\":\"g{n}\"}}}}")))
    });
    // In one list; and in two groups: a version, a resource and two subresources count as four.
    let resources = |count| list(count, |n| format!("{{\"resource\":\"r{n}\"}}"));
    let group = |name: &str, resources: String| {
        format!(
            "{{\"metadata\":{{\"name\":\"{name}\"}},\"versions\":[{{\"version\":\"v1\",\
             \"resources\":[{resources}]}}]}}"
        )
    };
    assert_limit::<DiscoveryDocument>(MAX_TYPES, |count| {
        document(group("a", resources(count - 1)))
    });
    assert_limit::<DiscoveryDocument>(MAX_TYPES, |count| {
        let parent = r#"{"resource":"r","subresources":[{"subresource":"s"},{"subresource":"t"}]}"#;
        let (first, second) = (parent.to_owned(), resources(count - 5));
        document(format!("{},{}", group("a", first), group("b", second)))
    });
    assert_limit::<DiscoveryDocument>(MAX_NAME, |count| {
        let name = "n".repeat(count);
        document(format!(
            "{{\"versions\":[{{\"version\":\"v1\",\"resources\":[{{\"resource\":\"{name}\"}}]}}]}}"
        ))
    });
}

#[test]
fn the_older_documents_have_no_more_types_than_any_control_plane() {
    let document = |count| {
        let resources = list(count, |_| "{\"name\":\"a\"}".to_owned());
        format!("{{\"kind\":\"APIResourceList\",\"resources\":[{resources}]}}")
    };
    assert_limit::<LegacyGroupVersion>(MAX_TYPES, document);
    assert_limit::<LegacyGroupVersion>(2 * MAX_NAME + 1, |count| {
        format!("{{\"resources\":[{{\"name\":\"{}\"}}]}}", "n".repeat(count))
    });
    // Each version counts, with its types.
    let mut reader = LegacyReader::default();
    let add = |reader: &mut LegacyReader, version: &str, count| {
        let list = serde_json::from_str(&document(count)).unwrap();
        reader.add("g", version, Some(list))
    };
    add(&mut reader, "v1", MAX_TYPES / 2 - 1).unwrap();
    add(&mut reader, "v2", MAX_TYPES / 2 - 1).unwrap();
    let error = reader.add("g", "v3", None).unwrap_err().to_string();
    assert!(error.starts_with("more than 100000 versions, resources"), "{error}");
}

#[test]
fn lists_of_strings_reach_the_listing_as_the_older_document_has_them() {
    let json = r#"{"resources":[{"name":"pods","namespaced":true,"kind":"Pod","verbs":["get","list"],
        "shortNames":["po"],"categories":null}]}"#;
    let mut reader = LegacyReader::default();
    reader.add("", "v1", Some(serde_json::from_str(json).unwrap())).unwrap();
    let listing = reader.finish();
    let text = listing.groups()[0].text.as_deref().unwrap();
    assert!(text.contains(r#""verbs":["get","list"],"shortNames":["po"]}"#), "{text}");
    assert!(error::<LegacyGroupVersion>(r#"{"resources":[{"name":"a","verbs":[5]}]}"#).is_some());
    assert!(error::<LegacyGroupVersion>(r#"{"resources":[{"name":"a","verbs":"x"}]}"#).is_some());
    assert!(error::<LegacyGroupVersion>(r#"{"resources":null}"#).is_none());
}
