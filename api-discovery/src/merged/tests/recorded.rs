//! The documents of real servers.

use super::*;
use crate::legacy_reader::LegacyReader;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration/recordings");

fn file(version: &str, path: &str) -> String {
    std::fs::read_to_string(format!("{RECORDINGS}/{version}/{path}.json")).unwrap()
}

fn recorded(name: &'static str, version: &'static str) -> Peer {
    let read = |path: &str, part| Some(Arc::new(read_part(&file(version, path), part)));
    let open_api = serde_json::from_str(&file(version, "documents/openapi/v3")).unwrap();
    let belief = Belief {
        core: read("aggregated/api", Part::Core),
        named: read("aggregated/apis", Part::Named),
        open_api: Some(Arc::new(open_api)),
    };
    Peer { belief, ..serving(name, version) }
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
    let expected =
        [("/apis", &[1][..]), ("/apis", &[1]), ("/apis/admissionregistration.k8s.io/v1", &[0, 1])];
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

/// Removes what aggregated discovery does not have.
fn without_hashes(json: &str) -> Value {
    let mut value: Value = serde_json::from_str(json).unwrap();
    for resource in value["resources"].as_array_mut().into_iter().flatten() {
        resource.as_object_mut().unwrap().remove("storageVersionHash");
    }
    value
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
            let made = legacy::resource_list(&group.name, &name, text).unwrap();
            assert_eq!(without_hashes(&made), without_hashes(&file(version, &path)), "{path}");
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
            reader.add(&names.name, &version.name, Some(serde_json::from_str(&json).unwrap()));
        }
    }
    let made = reader.finish();
    assert!(made.has_same_types_as(&real));
    for (made, real) in groups(&made).iter().zip(&groups(&real)) {
        let lists = |group: &MergedGroup| {
            let fields = Fields::parse(&group.text).unwrap();
            let list = |(name, text): (std::borrow::Cow<'_, str>, &serde_json::value::RawValue)| {
                legacy::resource_list(&group.name, &name, text).unwrap()
            };
            fields.named("versions", "version").into_iter().map(list).collect::<Vec<_>>()
        };
        assert_eq!(lists(made), lists(real));
    }
}
