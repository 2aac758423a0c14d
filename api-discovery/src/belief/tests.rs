//! How answers change what is believed: stale, empty and partial ones, and what is shared.

use discovery_map::Verb;

use super::*;
use crate::listing::{Group, Types};
use crate::verbs::Verbs;

fn listing(versions: &[(&str, &str, &[&str], bool)]) -> Listing {
    let groups = versions.iter().map(|&(group, version, resources, stale)| {
        let resources = resources.iter().map(|&name| (name.into(), Verbs::default())).collect();
        let types = Types::new(resources, Default::default());
        let version = Version { name: version.into(), types, stale };
        let names = GroupNames { name: group.into(), versions: [version].into() };
        Group { names: Arc::new(names), text: None }
    });
    Listing::new(groups.collect())
}

fn resources(belief: &Belief) -> Vec<String> {
    let versions = belief.group_versions();
    let name = |(group, version): (&str, &Version)| {
        let (mark, names) = (if version.stale { "!" } else { "" }, &version.types.namespaced);
        let name = |name| format!("{group}/{}{mark}/{name}", version.name);
        names.iter().map(name).collect::<Vec<_>>()
    };
    versions.flat_map(name).collect()
}

/// Takes a listing in. Returns whether the types changed.
fn update(belief: &mut Belief, part: Part, listing: Listing) -> bool {
    belief.update(part, listing) == Change::Types
}

#[test]
fn a_current_answer_replaces_what_was_known() {
    let mut belief = Belief::default();
    assert!(update(&mut belief, Part::Named, listing(&[("apps", "v1", &["a", "b"], false)])));
    assert!(update(&mut belief, Part::Named, listing(&[("apps", "v1", &["b"], false)])));
    assert_eq!(resources(&belief), ["apps/v1/b"]);
    let again = listing(&[("apps", "v1", &["b"], false)]);
    assert_eq!(belief.update(Part::Named, again), Change::Nothing);
}

#[test]
fn a_stale_or_empty_group_version_keeps_what_was_known_and_is_stale() {
    let stale: [(&[&str], bool); 3] = [(&[], true), (&["nodes"], true), (&[], false)];
    for (names, says_so) in stale {
        let mut belief = Belief::default();
        let mut changes = |listing| update(&mut belief, Part::Named, listing);
        assert!(changes(listing(&[("metrics", "v1", &["nodes", "pods"], false)])));
        assert!(changes(listing(&[("metrics", "v1", names, says_so)])));
        assert!(!changes(listing(&[("metrics", "v1", names, says_so)])));
        assert_eq!(resources(&belief), ["metrics/v1!/nodes", "metrics/v1!/pods"]);
        let fresh = listing(&[("metrics", "v1", &["nodes"], false)]);
        assert!(update(&mut belief, Part::Named, fresh));
        assert_eq!(resources(&belief), ["metrics/v1/nodes"]);
    }
}

#[test]
fn a_verb_that_comes_or_goes_changes_the_types() {
    let with_verbs = |verbs: &[Verb]| {
        let verbs: Verbs = verbs.iter().copied().collect();
        let types = Types::new([("a".into(), verbs)].into(), Default::default());
        let version = Version { name: "v1".into(), types, stale: false };
        let names = GroupNames { name: "apps".into(), versions: [version].into() };
        Listing::new(vec![Group { names: Arc::new(names), text: None }])
    };
    let mut belief = Belief::default();
    assert!(update(&mut belief, Part::Named, with_verbs(&[Verb::Get])));
    assert!(!update(&mut belief, Part::Named, with_verbs(&[Verb::Get])));
    assert!(update(&mut belief, Part::Named, with_verbs(&[Verb::Get, Verb::Patch])));
    let saved = serde_json::to_string(&belief.to_save(|_, _| true)).unwrap();
    let restored: Belief = serde_json::from_str(&saved).unwrap();
    assert!(restored.has_same_types_as(&belief), "{saved}");
}

#[test]
fn stale_group_versions_are_stale_after_a_restart() {
    let mut belief = Belief::default();
    belief.update(Part::Named, listing(&[("m.io", "v1", &["nodes"], false)]));
    belief.update(Part::Named, listing(&[("m.io", "v1", &[], true)]));
    let saved = serde_json::to_string(&belief.to_save(|_, _| false)).unwrap();
    let restored: Belief = serde_json::from_str(&saved).unwrap();
    assert_eq!(resources(&restored), ["m.io/v1!/nodes"]);
}

#[test]
fn an_empty_list_is_not_believed() {
    let mut belief = Belief::default();
    assert_eq!(belief.update(Part::Named, Listing::default()), Change::Nothing);
    assert!(!belief.is_complete());
    belief.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
    assert_eq!(belief.update(Part::Named, Listing::default()), Change::Nothing);
    assert_eq!(belief.type_count(), 1);
}

#[test]
fn an_empty_index_of_open_api_is_not_believed() {
    let index = OpenApiIndex([("api".into(), "/openapi/v3/api".into())].into());
    let mut belief = Belief::default();
    assert!(belief.update_open_api(index.clone()));
    assert!(!belief.update_open_api(OpenApiIndex::default()));
    assert!(!belief.update_open_api(index));
    assert!(belief.open_api.is_some());
}

#[test]
fn the_halves_are_known_separately() {
    let mut belief = Belief::default();
    belief.update(Part::Core, listing(&[("", "v1", &["pods"], false)]));
    assert!(!belief.is_complete());
    belief.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
    assert!(belief.is_complete());
    assert_eq!(resources(&belief), ["/v1/pods", "apps/v1/a"]);
}

#[test]
fn a_group_that_is_no_longer_listed_is_gone() {
    let mut belief = Belief::default();
    let both = listing(&[("apps", "v1", &["a"], false), ("crd", "v1", &["b"], false)]);
    belief.update(Part::Named, both);
    belief.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
    assert_eq!(resources(&belief), ["apps/v1/a"]);
}

#[test]
fn what_is_saved_is_restored_with_the_texts_of_what_is_built_in() {
    let mut answer = listing(&[("apps", "v1", &["a"], false), ("c.io", "v1", &["b"], true)]);
    answer.groups_mut().for_each(|group| group.text = Some("{}".into()));
    answer.etag = Some("1".into());
    let mut belief = Belief::default();
    belief.update(Part::Named, answer);
    let saved = belief.to_save(|group, _| group == "apps");
    let restored: Belief = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    assert_eq!(restored, saved);
    assert!(restored.has_same_types_as(&belief));
    let listing = restored.listing(Part::Named).unwrap();
    let texts: Vec<_> = listing.groups().iter().map(|group| group.text.as_deref()).collect();
    assert_eq!((texts, &listing.etag), (vec![Some("{}"), None], &None));
    assert_eq!(restored.to_save(|_, _| false), restored, "saved again");
}
