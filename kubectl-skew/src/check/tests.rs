//! Each check on facts of its own.

use serde_json::json;

use super::storage::Dropped;
use super::stored::Stored;
use super::{Finding, Report, Verdict, envoys, orphans, rollback, storage};
use crate::changes::Changes;
use crate::control_plane::{Count, Objects};
use crate::facts::tests::facts;
use crate::facts::{Envoys, Facts};
use crate::screen::Screen;

/// No history.
const NONE: orphans::History<'static> = (&Changes(Vec::new()), 0);

/// Returns a type with so many objects that is missing where the control plane goes.
fn stored(name: &str, count: Count) -> Stored {
    Stored { name: name.to_owned(), is_optional: false, has_successor: false, count }
}

fn dropped_by(types: &[Stored]) -> Option<Dropped<'_>> {
    Some(Dropped { at: "1.37", types })
}

fn of_peer(facts: &Facts, name: &str) -> Finding {
    let found = orphans::check(facts, NONE, Some(name), 60).unwrap();
    found.into_iter().find(|finding| finding.subject == name).unwrap()
}

#[test]
fn a_server_with_types_of_its_own_must_stay() {
    let facts = facts();
    let found = of_peer(&facts, "cp-2");
    assert_eq!(found.verdict, Verdict::No);
    assert!(found.types.contains(&"v1 pods/resize".to_owned()), "{found:?}");
    assert!(found.types.contains(&"apps/v1 deployments/scale [patch]".to_owned()), "{found:?}");
    assert!(found.reason.contains("as of 1s ago"), "{found:?}");
    assert_eq!(of_peer(&facts, "cp-1").verdict, Verdict::Yes);
}

#[test]
fn since_when_only_one_server_serves_a_type_is_told_from_the_history() {
    let changes = json!([
        { "atUnixSeconds": 1_000, "kind": "mapPublished" },
        {
            "atUnixSeconds": 1_060, "kind": "types", "to": "partly", "count": 1,
            "types": ["v1/pods/resize"], "peers": ["cp-2"],
        },
    ]);
    let mut facts = facts();
    let check = |facts: &Facts, changes: &serde_json::Value| {
        let changes = Changes(serde_json::from_value(changes.clone()).unwrap());
        orphans::check(facts, (&changes, 1_600), Some("cp-2"), 60).unwrap().remove(0)
    };
    let found = check(&facts, &changes);
    // Of the others, the history does not know it.
    assert!(found.reason.contains("(for more than 10m, as of 1s ago)"), "{found:?}");
    assert_eq!(found.since_unix_seconds, None);
    for version in facts.document.groups.values_mut().flat_map(|group| group.0.values_mut()) {
        let resize = |name: &String| name == "pods/resize";
        for resources in version.0.values_mut() {
            resources.namespaced.retain(resize);
            resources.cluster_scoped.retain(resize);
        }
    }
    let found = check(&facts, &changes);
    assert!(found.reason.contains("(for 9m, as of 1s ago)"), "{found:?}");
    assert_eq!(found.since_unix_seconds, Some(1_060));
}

#[test]
fn types_without_a_server_are_named_with_who_served_them() {
    let found = orphans::check(&facts(), NONE, Some("cp-1"), 60).unwrap();
    let gone = found.iter().find(|finding| finding.subject == "cp-3").unwrap();
    assert_eq!((gone.verdict, gone.types.len()), (Verdict::No, 1));
    assert!(gone.reason.contains("for 3m already"), "{gone:?}");
}

#[test]
fn the_last_server_and_servers_of_which_little_is_known_must_stay() {
    let mut facts = facts();
    facts.peers[1].state = discovery_map::PeerState::NotReady;
    assert!(of_peer(&facts, "cp-1").reason.contains("last server"));
    assert!(of_peer(&facts, "cp-2").reason.contains("still has it in rotation"));
    facts.peers[1].address = "10.0.0.2:6443".to_owned();
    assert_eq!(of_peer(&facts, "cp-2").verdict, Verdict::Yes);

    facts.peers[0].last_answer_seconds_ago = Some(300);
    let found = orphans::check(&facts, NONE, None, 60).unwrap();
    assert!(found[0].reason.contains("out of date"), "{found:?}");
    facts.document.complete = false;
    let found = orphans::check(&facts, NONE, None, 600).unwrap();
    assert!(found[0].reason.contains("not complete"), "{found:?}");
    let error = orphans::check(&facts, NONE, Some("cp-9"), 60).unwrap_err().to_string();
    assert!(error.contains("cp-1, cp-2, cp-3"), "{error}");
}

#[test]
fn while_no_server_is_ready_none_may_be_taken_down() {
    let mut facts = facts();
    for peer in &mut facts.peers {
        peer.state = discovery_map::PeerState::NotReady;
    }
    let found = orphans::check(&facts, NONE, None, 60).unwrap();
    assert!(found[0].verdict == Verdict::No && found[0].reason.contains("no server is ready"));
}

#[test]
fn the_map_of_an_envoy_must_be_the_companions() {
    let url = "http://127.0.0.1:9901".parse().unwrap();
    let verdict = |found| envoys::of_generation(&url, found, 42).verdict;
    assert_eq!((verdict(Ok(42)), verdict(Ok(41))), (Verdict::Yes, Verdict::No));
    assert_eq!(verdict(Ok(0)), Verdict::Unknown);
    assert_eq!(verdict(Err(anyhow::anyhow!("refused"))), Verdict::Unknown);
}

#[test]
fn an_envoy_that_has_not_acknowledged_the_map_is_named_with_its_refusal() {
    let known = json!({
        "versions": { "filter": "b", "clusters": "x", "listeners": "l" },
        "envoys": [
            { "node": "one", "versions": { "filter": "b", "clusters": "x" }, "lastRefusal": null },
            {
                "node": "two", "versions": { "filter": "a", "clusters": "x" },
                "lastRefusal": { "type": "filter", "reason": "bad", "secondsAgo": 5 },
            },
            { "node": "new", "versions": {}, "lastRefusal": null },
            { "node": "some", "versions": { "filter": "s" }, "expectedVersions": { "filter": "s" } },
        ],
    });
    let known: Envoys = serde_json::from_value(known).unwrap();
    let found = envoys::check(&known);
    let names: Vec<_> = found.iter().map(|finding| &*finding.subject).collect();
    assert_eq!(names, ["two", "new"]);
    assert!(found[0].reason.contains("refused filter 5s ago: bad"), "{found:?}");

    let current = Envoys { envoys: vec![known.envoys[0].clone()], ..known };
    assert_eq!(envoys::check(&current)[0].verdict, Verdict::Yes);
    // Nobody has seen the others.
    assert_eq!(envoys::check(&Envoys::default())[0].verdict, Verdict::Warning);
}

#[test]
fn what_the_next_version_drops_must_not_be_stored() {
    let dropped = |has_successor, count| Stored { has_successor, ..stored("a/v1 b", count) };
    let none = || Objects::Listed(Vec::new());
    let verdict = |one| storage::check(dropped_by(&[one]), &Objects::NotServed, &none())[0].verdict;
    assert_eq!(verdict(dropped(false, Count::Some(2))), Verdict::No);
    assert_eq!(verdict(dropped(true, Count::Some(2))), Verdict::Warning);
    assert_eq!(verdict(dropped(false, Count::Some(0))), Verdict::Yes);
    assert_eq!(verdict(dropped(false, Count::Failed("403".into()))), Verdict::Unknown);
    assert_eq!(verdict(dropped(false, Count::NotServed)), Verdict::Unknown);
    assert_eq!(verdict(dropped(false, Count::NotListable)), Verdict::Yes);
    let optional = Stored { is_optional: true, ..dropped(false, Count::Some(2)) };
    assert_eq!(verdict(optional), Verdict::Warning);

    let migration = |condition: &str| {
        json!({
            "metadata": { "name": "m" }, "spec": { "resource": { "resource": "widgets" } },
            "status": { "conditions": [{ "type": condition, "status": "True" }] },
        })
    };
    let migrations = |condition| Objects::Listed(vec![migration(condition)]);
    let verdict =
        |condition| storage::check(dropped_by(&[]), &migrations(condition), &none())[0].verdict;
    assert_eq!(verdict("Succeeded"), Verdict::Yes);
    assert_eq!((verdict("Running"), verdict("Failed")), (Verdict::No, Verdict::No));
}

#[test]
fn stored_versions_of_a_custom_resource_must_be_served() {
    let definition = |served| {
        json!({
            "metadata": { "name": "things.example.com" },
            "spec": { "versions": [
                { "name": "v1", "served": true, "storage": true },
                { "name": "v1beta1", "served": served, "storage": false },
            ] },
            "status": { "storedVersions": ["v1beta1", "v1"] },
        })
    };
    let verdict = |object| {
        storage::check(dropped_by(&[]), &Objects::NotServed, &Objects::Listed(vec![object]))[0]
            .verdict
    };
    assert_eq!(verdict(definition(true)), Verdict::Warning);
    assert_eq!(verdict(definition(false)), Verdict::No);
    let mut migrated = definition(false);
    migrated["status"]["storedVersions"] = json!(["v1"]);
    assert_eq!(verdict(migrated), Verdict::Yes);
    let failed = Objects::Failed("403 forbidden".into());
    assert_eq!(
        storage::check(dropped_by(&[]), &Objects::NotServed, &failed)[0].verdict,
        Verdict::Unknown
    );
}

#[test]
fn stranded_objects_are_counted_and_only_a_rollback_must_not_go_on() {
    let newer = [stored("a/v1 b", Count::Some(3)), stored("a/v1 c", Count::Some(0))];
    let found = rollback::check("1.36", &newer, false);
    assert_eq!((found.len(), found[0].verdict, found[0].objects), (1, Verdict::Warning, Some(3)));
    assert_eq!(rollback::check("1.36", &newer, true)[0].verdict, Verdict::No);
    assert_eq!(rollback::check("1.36", &newer[1..], true)[0].verdict, Verdict::Yes);
    let unknown = [stored("a/v1 b", Count::NotServed)];
    assert_eq!(rollback::check("1.36", &unknown, false)[0].verdict, Verdict::Unknown);
}

#[test]
fn the_worst_finding_decides() {
    let report = Report::new(rollback::check("1.36", &[stored("a/v1 b", Count::Some(1))], true));
    assert_eq!(report.verdict, Verdict::No);
    let text = report.text(&Screen::default());
    assert!(
        text.starts_with("CHECK      GO ON   SUBJECT   REASON\nrollback   no      a/v1 b"),
        "{text}"
    );
    assert_eq!(Report::new(Vec::new()).verdict, Verdict::Unknown);
}
