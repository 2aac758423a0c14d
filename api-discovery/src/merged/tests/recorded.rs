//! The documents of real servers.

use super::*;
use crate::legacy_reader::{LegacyGroupVersion, LegacyReader};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration/recordings");

fn file(version: &str, path: &str) -> String {
    std::fs::read_to_string(format!("{RECORDINGS}/{version}/{path}.json")).unwrap()
}

/// Returns the older document of a group-version.
fn older(release: &str, group: &str, version: &str) -> LegacyGroupVersion {
    let path = format!("documents{}", group_version_path(group, version));
    serde_json::from_str(&file(release, &path)).unwrap()
}

fn recorded(name: &'static str, release: &'static str) -> Peer {
    let read = |path: &str, part| Some(Arc::new(read_part(&file(release, path), part)));
    let open_api = serde_json::from_str(&file(release, "documents/openapi/v3")).unwrap();
    let mut belief = Belief {
        core: read("aggregated/api", Part::Core),
        named: read("aggregated/apis", Part::Named),
        open_api: Some(Arc::new(open_api)),
        ..Belief::default()
    };
    let listed: Vec<(String, String)> =
        belief.group_versions().map(|(g, v)| (g.to_owned(), v.name.to_string())).collect();
    for (group, version) in listed {
        belief.update_storage(&group, &version, &older(release, &group, &version));
    }
    Peer { belief, ..serving(name, release) }
}

/// The groups of a list as they are merged if all peers say the same.
fn groups(listing: &Listing) -> Vec<MergedGroup> {
    let listing = Entry { value: listing, serving: true };
    aggregated::merge(&[listing], &built_in).0
}

#[test]
fn the_merge_of_1_35_and_1_36_is_what_1_36_says() {
    let merged = merge_of(&[recorded("a", "v1.35.4"), recorded("b", "v1.36.3")]);
    let new: Value = serde_json::from_str(&file("v1.36.3", "aggregated/apis")).unwrap();
    // 1.36 serves all that 1.35 does, in the same order.
    assert_eq!(aggregated(&merged), new);
    let paths: Vec<_> = merged.documents.iter().map(|d| (d.path.as_str(), &*d.peers)).collect();
    let expected = [
        ("/apis", &[1][..]),
        ("/apis", &[1]),
        // They list the same, and store one resource differently.
        ("/apis/storage.k8s.io/v1", &[0, 1]),
        ("/apis/admissionregistration.k8s.io/v1", &[0, 1]),
    ];
    assert_eq!(paths, expected, "{:?}", merged.conflicts);
    assert!(merged.conflicts.is_empty());
}

#[test]
fn of_1_35_and_1_36_only_the_documents_of_one_group_version_are_read() {
    let peers = [recorded("a", "v1.35.4"), recorded("b", "v1.36.3")];
    let sources: Vec<_> = peers.iter().map(Peer::source).collect();
    let answers = merge_open_api(&sources, &built_in, &[]);
    assert_eq!(answers.v2, Some(vec![1]));
    // The server's version is in every document.
    assert_eq!(answers.v3.len(), 47);
    assert!(answers.v3.values().all(|peers| *peers == [1]), "{:?}", answers.v3);
    let read: Vec<_> = answers.sources.iter().map(|sources| &*sources.path).collect();
    assert_eq!(read, ["apis/admissionregistration.k8s.io/v1"]);
}

#[test]
fn a_storage_version_hash_is_carried_where_the_servers_agree() {
    let merged = merge_of(&[recorded("a", "v1.35.4"), recorded("b", "v1.36.3")]);
    let path = "/apis/storage.k8s.io/v1";
    let own = file("v1.36.3", &format!("documents{path}"));
    let without = own.replace(r#","storageVersionHash":"tIjydgKBC5w=""#, "");
    assert_ne!(own, without);
    assert_eq!(text(find(&merged, path, DocumentForm::Plain).unwrap()), without);
    let policies = find(&merged, "/apis/admissionregistration.k8s.io/v1", DocumentForm::Plain);
    let own = file("v1.36.3", "documents/apis/admissionregistration.k8s.io/v1");
    assert_eq!(text(policies.unwrap()), own, "1.35 does not list what they would differ in");
}

#[test]
fn older_documents_made_from_aggregated_ones_equal_the_real_ones() {
    let version = "v1.36.3";
    let named = read_part(&file(version, "aggregated/apis"), Part::Named);
    let core = read_part(&file(version, "aggregated/api"), Part::Core);
    assert_eq!(legacy::group_list(&groups(&named)).unwrap(), file(version, "documents/apis"));
    let mut compared = 0;
    for group in groups(&named).iter().chain(&groups(&core)) {
        if !group.name.is_empty() {
            let real = file(version, &format!("documents/apis/{}", group.name));
            assert_eq!(legacy::group(group).unwrap(), real);
        }
        let fields = Fields::parse(&group.text).unwrap();
        for (name, text) in fields.named("versions", "version") {
            let path = format!("documents{}", group_version_path(&group.name, &name));
            let hashes = older(version, &group.name, &name).storage_hashes();
            let hash = |resource: &str| hashes.get(resource).map(|hash| &**hash);
            let made = legacy::resource_list(&group.name, &name, text, hash).unwrap();
            assert_eq!(made, file(version, &path), "{path}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn aggregated_documents_made_from_older_ones_say_the_same() {
    let release = "v1.36.3";
    let real = read_part(&file(release, "aggregated/apis"), Part::Named);
    let mut reader = LegacyReader::default();
    for Group { names, .. } in real.groups() {
        for version in &names.versions {
            let json = file(release, &format!("documents/apis/{}/{}", names.name, version.name));
            let document = serde_json::from_str(&json).unwrap();
            reader.add(&names.name, &version.name, Some(document)).unwrap();
        }
    }
    let made = reader.finish();
    assert!(made.has_same_types_as(&real));
    for (made, real) in groups(&made).iter().zip(&groups(&real)) {
        let lists = |group: &MergedGroup| {
            let fields = Fields::parse(&group.text).unwrap();
            let list = |(name, text): (std::borrow::Cow<'_, str>, &serde_json::value::RawValue)| {
                legacy::resource_list(&group.name, &name, text, |_| None).unwrap()
            };
            fields.named("versions", "version").into_iter().map(list).collect::<Vec<_>>()
        };
        assert_eq!(lists(made), lists(real));
    }
}
