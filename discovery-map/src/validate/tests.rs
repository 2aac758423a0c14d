//! What is accepted, what is refused, and with which words.

use proptest::prelude::*;

use crate::{Destination, DiscoveryMap, MapDocument, PeerState, Resources, Scope};

const GOLDEN: &str = include_str!("../../golden/map.json");

fn golden() -> MapDocument {
    serde_json::from_str(GOLDEN).unwrap()
}

fn faults_after(change: impl FnOnce(&mut MapDocument)) -> Vec<String> {
    let mut document = golden();
    change(&mut document);
    let faults = DiscoveryMap::try_from(document).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn resource<'m>(
    map: &'m DiscoveryMap,
    group: &str,
    version: &str,
    name: &str,
) -> Option<(Destination<'m>, Scope)> {
    let (resource, subresource) = match name.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.as_bytes())),
        None => (name, None),
    };
    map.resource(group.as_bytes(), version.as_bytes(), resource.as_bytes(), subresource)
        .map(|found| (found.destination, found.scope))
}

#[test]
fn writing_the_golden_map_gives_the_golden_file() {
    let written = golden().to_json().unwrap();
    assert_eq!(written, GOLDEN.trim_end());
}

#[test]
fn the_golden_file_answers_look_ups() {
    let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    let subset = Destination::Cluster("kube-apiserver_cp-2");
    let policies = "mutatingadmissionpolicies";
    let admission = "admissionregistration.k8s.io";

    assert_eq!(map.generation, 42);
    assert!(map.complete);
    assert_eq!(map.skewed_targets(), 3);
    assert_eq!(map.peers[2].state, PeerState::Unreachable);

    let common = Some((Destination::Default, Scope::Namespaced));
    assert_eq!(resource(&map, "", "v1", "pods"), common);
    assert_eq!(resource(&map, "", "v1", "pods/log"), common);
    assert_eq!(resource(&map, "", "v1", "nodes"), Some((Destination::Default, Scope::Cluster)));
    assert_eq!(resource(&map, "", "v1", "pods/resize"), Some((subset, Scope::Namespaced)));
    assert_eq!(resource(&map, admission, "v1", policies), Some((subset, Scope::Cluster)));
    assert_eq!(
        resource(&map, "resource.k8s.io", "v1alpha3", "devicetaintrules"),
        Some((Destination::Unavailable, Scope::Cluster)),
    );

    assert_eq!(resource(&map, "", "v1", "pod"), None);
    assert_eq!(resource(&map, "", "v1", "pods/nosuch"), None);
    assert_eq!(resource(&map, "", "v2", "pods"), None);
    assert_eq!(resource(&map, "nosuch.io", "v1", "pods"), None);
    assert_eq!(map.resource(b"\xff", b"v1", b"\0", None), None);
}

#[test]
fn documents_of_a_group_come_from_the_widest_set_that_can_answer() {
    let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    assert_eq!(map.widest_view(), Destination::Cluster("kube-apiserver_cp-2"));
    assert_eq!(map.group(b"admissionregistration.k8s.io"), Some(Destination::Default));
    assert_eq!(map.group_version(b"", b"v1"), Some(Destination::Default));
    assert_eq!(map.group_version(b"stale.example.com", b"v1"), Some(Destination::Default));
    assert_eq!(map.group(b"resource.k8s.io"), Some(Destination::Unavailable));
    assert_eq!(map.group(b"nosuch.io"), None);
    assert_eq!(map.group_version(b"", b"v9"), None);
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let faults = faults_after(|document| {
        document.generation = 0;
        document.default_cluster = "two words".into();
        document.peers[1].name = "cp-1".into();
        document.peers[2].name.clear();
        document.sets[1].peers = vec![7, 1];
        document.sets[1].cluster = Some("kube-apiserver".into());
        document.widest_view = 9;
        document.identity.group_headers.clear();
        document.identity.username_headers.push("X-Remote-User".into());
        document.identity.uid_headers = vec!["authorization".into(), String::new()];
        let core = document.groups.get_mut("").unwrap().0.get_mut("v1").unwrap();
        let odd = ["pods/", "/x", "a/b/c", ""].map(String::from).to_vec();
        core.0.insert(8, Resources { namespaced: odd, cluster_scoped: vec!["pods".into()] });
        document.groups.insert("empty.io".into(), Default::default());
    });
    assert_eq!(
        faults,
        [
            "generation: must be 1 or more",
            "peers[1].name: \"cp-1\" is the name of an earlier peer",
            "peers[2].name: must not be empty",
            "defaultCluster: \"two words\" must be visible ASCII and not empty",
            "identity.usernameHeaders[1]: \"X-Remote-User\" is not a lowercase header name reserved for identity",
            "identity.groupHeaders: must have a name for the front proxy",
            "identity.uidHeaders[0]: \"authorization\" is not a lowercase header name reserved for identity",
            "identity.uidHeaders[1]: \"\" is not a lowercase header name reserved for identity",
            "sets[1].peers: must be strictly ascending",
            "sets[1].peers: peer index 7 is out of range: the map has 3 peers",
            "sets[1].cluster: \"kube-apiserver\" is the cluster of an earlier set",
            "widestView: set index 9 is out of range: the map has 3 sets",
            "groups[\"\"][\"v1\"]: set index 8 is out of range: the map has 3 sets",
            "groups[\"\"][\"v1\"][\"8\"]: \"pods/\" is neither a resource nor resource/subresource",
            "groups[\"\"][\"v1\"][\"8\"]: \"/x\" is neither a resource nor resource/subresource",
            "groups[\"\"][\"v1\"][\"8\"]: \"a/b/c\" is neither a resource nor resource/subresource",
            "groups[\"\"][\"v1\"][\"8\"]: \"\" is neither a resource nor resource/subresource",
            "groups[\"\"][\"v1\"]: \"pods\" is listed twice",
            "groups[\"empty.io\"]: must have a version",
            "verbs[\"apps/v1/deployments/scale\"][\"patch\"]: must be a different set, with a part of the peers of set 0",
        ],
    );
}

#[test]
fn a_header_that_requests_need_cannot_be_an_identity_header() {
    let refused = ["impersonate-user", "impersonate_", "user_agent", "a b", "X-Remote-User"];
    for name in refused {
        let faults = faults_after(|map| map.identity.uid_headers = vec![name.into()]);
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
    }
    for prefix in ["auth", "c", "impersonate-extra-", "impersonate", "content_t", "x-user-é"] {
        let faults = faults_after(|map| map.identity.extra_header_prefixes = vec![prefix.into()]);
        assert_eq!(faults.len(), 1, "{prefix}: {faults:?}");
    }
    for name in ["x-remote-user", "remote_user", "tenant", "authorization-user"] {
        let mut document = golden();
        document.identity.username_headers = vec![name.into()];
        document.identity.extra_header_prefixes = vec![name.into()];
        assert!(DiscoveryMap::try_from(document).is_ok(), "{name}");
    }
}

#[test]
fn no_cluster_may_have_a_twins_name() {
    let name = format!("kube-apiserver{}", crate::FRONT_PROXY_SUFFIX);
    let faults = faults_after(|document| document.default_cluster = name);
    assert_eq!(
        faults,
        ["defaultCluster: \"kube-apiserver__front-proxy\" must not end with \"__front-proxy\""],
    );
}

#[test]
fn a_version_needs_a_name_and_a_set() {
    let faults = faults_after(|document| {
        let core = document.groups.get_mut("").unwrap();
        core.0.insert(String::new(), Default::default());
    });
    assert_eq!(
        faults,
        [
            "groups[\"\"][\"\"]: a version must not be empty",
            "groups[\"\"][\"\"]: must have a serving set",
        ],
    );
}

fn refusal(json: &str) -> String {
    DiscoveryMap::from_json(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn another_schema_version_is_refused_by_that_name() {
    let json = r#"{"schemaVersion":2,"shards":[]}"#;
    assert_eq!(
        refusal(json),
        "schemaVersion: version 2 is not supported; this build reads version 1",
    );
    assert_eq!(
        faults_after(|document| document.schema_version = 0),
        ["schemaVersion: version 0 is not supported; this build reads version 1"],
    );
}

#[test]
fn text_that_is_not_a_map_is_refused_with_its_line_and_column() {
    assert!(refusal("").contains("EOF while parsing"));
    assert!(refusal("[]").starts_with("document: "));
    assert!(refusal(&GOLDEN[..GOLDEN.len() / 2]).contains("line 1 column"));
}

#[test]
fn unknown_fields_and_repeated_keys_are_refused() {
    let with_field = GOLDEN.replacen("\"complete\"", "\"more\":1,\"complete\"", 1);
    assert!(refusal(&with_field).contains("unknown field `more`"));

    let twice = GOLDEN.replacen("\"groups\":{", "\"groups\":{\"\":{\"v1\":{\"0\":{}}},", 1);
    assert!(refusal(&twice).contains("key \"\" is repeated"), "{}", refusal(&twice));
}

#[test]
fn a_map_of_five_thousand_resources_stays_within_400_kilobytes() {
    // Names as long as those in the field: an operator's group has a few
    // resources, most of them with a status.
    let mut document = golden();
    for group in 0..1_000 {
        let resources = (0..5)
            .flat_map(|kind| {
                let name = format!("clusterissuers{kind}");
                [format!("{name}/status"), name]
            })
            .collect();
        let served = Resources { namespaced: resources, cluster_scoped: Vec::new() };
        let versions = document.groups.entry(format!("team{group}.cert-manager.io")).or_default();
        versions.0.entry("v1alpha1".into()).or_default().0.insert(0, served);
    }
    let json = document.to_json().unwrap();
    assert!(json.len() <= 400_000, "{} bytes", json.len());
    assert!(DiscoveryMap::from_json(json.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_or_refused_without_a_panic(bytes: Vec<u8>) {
        let _ = DiscoveryMap::from_json(&bytes);
    }

    #[test]
    fn a_damaged_document_is_never_half_read(cut in 0..GOLDEN.trim_end().len()) {
        prop_assert!(DiscoveryMap::from_json(&GOLDEN.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn every_resource_that_is_listed_is_found(
        names in proptest::collection::btree_set("[a-z]{1,6}(/[a-z]{1,4})?", 0..40),
        absent in "[A-Z]{1,6}",
    ) {
        let mut document = golden();
        let namespaced = names.iter().cloned().collect();
        let served = Resources { namespaced, cluster_scoped: Vec::new() };
        document.groups.entry("g.io".into()).or_default().0
            .entry("v1".into()).or_default().0.insert(1, served);
        let map = DiscoveryMap::try_from(document).unwrap();
        for name in &names {
            let expected = (Destination::Cluster("kube-apiserver_cp-2"), Scope::Namespaced);
            prop_assert_eq!(resource(&map, "g.io", "v1", name), Some(expected));
        }
        prop_assert_eq!(resource(&map, "g.io", "v1", &absent), None);
    }
}
