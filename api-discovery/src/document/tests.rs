//! Both forms of discovery documents, read into listings.

use super::*;
use crate::legacy_reader::LegacyGroupVersion;

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
