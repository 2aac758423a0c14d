//! What becomes a change, how changes are grouped, and what is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::MinorVersion;
use discovery_map::{BySet, MapDocument, PeerEntry, PeerState, Resources, SetEntry, Versions};

use super::change::Availability;
use super::facts::Facts;
use super::refusals::Refusals;
use super::*;
use crate::ads::Refused;
use crate::facts::PeerStatus;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");

fn peer(name: &str, port: u16, state: PeerState) -> PeerStatus {
    PeerStatus {
        name: name.to_owned(),
        address: ([10, 0, 0, 1], port).into(),
        state,
        left: false,
        forgotten: false,
        version: Some("v1.36.3".into()),
        minor_version: None,
        answering: true,
        discovery_known: true,
        types: 1,
        last_answer_seconds_ago: None,
        absent_seconds: 0,
        last_error: Some("connection refused".to_owned()),
    }
}

/// A map of the peers a and b. Set 0 is both, 1 is a, 2 is b, which is out of rotation.
fn map(generation: u64, types: &[(&str, &[u16])]) -> Arc<MapDocument> {
    let mut map: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    map.generation = generation;
    map.peers = ["a", "b"]
        .map(|name| PeerEntry { name: name.to_owned(), state: PeerState::Serving, version: None })
        .to_vec();
    let set = |peers: &[u16], cluster: Option<&str>| SetEntry {
        peers: peers.to_vec(),
        cluster: cluster.map(str::to_owned),
        at_least: BTreeMap::new(),
    };
    map.default_cluster = "all".to_owned();
    map.sets = vec![set(&[0, 1], Some("all")), set(&[0], Some("all_a")), set(&[1], None)];
    map.groups = BTreeMap::new();
    for (name, sets) in types {
        let by_set = sets.iter().map(|set| {
            let namespaced = (0..3).map(|n| format!("{name}{n}")).collect();
            (*set, Resources { namespaced, cluster_scoped: Vec::new() })
        });
        let versions = BTreeMap::from([("v1".to_owned(), BySet(by_set.collect()))]);
        map.groups.insert((*name).to_owned(), Versions(versions));
    }
    Arc::new(map)
}

fn facts(peers: Vec<PeerStatus>, map: Arc<MapDocument>) -> Facts {
    Facts { peers, map: Some(map), ..Facts::default() }
}

fn messages(before: &Facts, after: &Facts) -> Vec<String> {
    after.since(before).iter().map(ToString::to_string).collect()
}

#[test]
fn the_state_that_a_companion_finds_at_its_start_is_not_a_change() {
    let found = facts(vec![peer("a", 1, PeerState::Serving)], map(1, &[("apps", &[0])]));
    let first = messages(&Facts::default(), &found);
    assert_eq!(first, ["map 1 published: 0 skewed types"]);
    assert_eq!(messages(&found, &found), [""; 0]);
}

#[test]
fn peers_that_come_go_and_change_are_told() {
    let peers = |list: &[(&str, u16, PeerState)]| {
        list.iter().map(|(name, port, state)| peer(name, *port, *state)).collect::<Vec<_>>()
    };
    let serving = PeerState::Serving;
    let before = facts(peers(&[("a", 1, serving), ("b", 2, serving)]), map(1, &[]));
    let mut list = peers(&[("a", 1, PeerState::Unreachable), ("c", 3, serving)]);
    list[1].version = Some("v1.37.2".into());
    let after = facts(list, map(1, &[]));
    assert_eq!(
        messages(&before, &after),
        [
            "peer b left its source (10.0.0.1:2)",
            "peer a is unreachable, was serving: connection refused",
            "peer c joined (10.0.0.1:3)",
            "peer c is serving, was unreachable",
            "peer c runs v1.37.2",
        ]
    );
    // One that left and is remembered is not there, whatever its name is now.
    let mut remembered = after.clone();
    remembered.peers[0].left = true;
    assert_eq!(messages(&after, &remembered), ["peer a left its source (10.0.0.1:1)"]);
    remembered.peers.push(peer("a", 9, serving));
    remembered.peers[0].name = "peer-10-0-0-1-1".to_owned();
    let messages = messages(&after, &remembered);
    assert_eq!(
        messages[..2],
        ["peer a left its source (10.0.0.1:1)", "peer a joined (10.0.0.1:9)"]
    );
}

#[test]
fn the_answering_version_and_a_failure_are_told_once() {
    let before = facts(Vec::new(), map(1, &[]));
    let answering = Some(MinorVersion::new(1, 37));
    let error = Some("disk full".to_owned());
    let after = Facts { answering, error, ..before.clone() };
    assert_eq!(
        messages(&before, &after),
        ["answering version is 1.37, was any", "cannot publish: disk full"]
    );
    assert_eq!(messages(&after, &after), [""; 0]);
}

#[test]
fn types_that_change_alike_are_one_change() {
    let before = facts(Vec::new(), map(1, &[("", &[0]), ("apps", &[0]), ("old", &[1])]));
    let after = facts(Vec::new(), map(2, &[("", &[0]), ("apps", &[2]), ("new", &[1])]));
    assert_eq!(
        messages(&before, &after),
        [
            "3 types (new/v1/new0, new/v1/new1, new/v1/new2) added: served by a only",
            "3 types (apps/v1/apps0, apps/v1/apps1, apps/v1/apps2) orphaned: no peer in rotation \
             serves them; last served by b",
            "3 types (old/v1/old0, old/v1/old1, old/v1/old2) removed",
            "map 2 published: 6 skewed types",
        ]
    );
    let back =
        "3 types (apps/v1/apps0, apps/v1/apps1, apps/v1/apps2) served by every peer in rotation";
    assert!(messages(&after, &before).contains(&back.to_owned()));
}

#[test]
fn an_upgrade_with_thousands_of_types_is_a_few_changes_of_bounded_size() {
    let names: Vec<String> = (0..2000).map(|n| format!("{}{n}", "x".repeat(2000))).collect();
    let all: Vec<(&str, &[u16])> = names.iter().map(|name| (name.as_str(), &[1][..])).collect();
    let changes = facts(Vec::new(), map(2, &all)).since(&facts(Vec::new(), map(1, &[])));
    assert_eq!(changes.len(), 2);
    let Change::Types { from, to, count, types, .. } = &changes[0] else { panic!("{changes:?}") };
    assert_eq!((*from, *to, *count), (Availability::Unknown, Availability::Partly, 6000));
    assert_eq!((types.len(), types[0].len()), (MOST_NAMES, MOST_TEXT));
    assert!(changes[0].to_string().contains(" and 5980 more)"));
}

#[test]
fn a_fleet_that_refuses_a_map_is_one_change() {
    let mut refusals = Refusals::default();
    for number in 0..1000 {
        for reason in ["no cluster", "bad"] {
            refusals.add(&Refused {
                node: format!("envoy-{number}"),
                control_plane: "a".to_owned(),
                resources: "filter",
                reason: reason.to_owned(),
            });
        }
    }
    let changes = refusals.take();
    assert!(refusals.is_empty());
    assert_eq!(changes.len(), 2);
    let text = changes[0].to_string();
    assert!(text.starts_with("filter refused by 1000 Envoys (envoy-0, envoy-1, "), "{text}");
    assert!(text.ends_with(" and 980 more): bad"), "{text}");
}

#[test]
fn a_history_keeps_the_last_hundred_changes_and_numbers_go_on_over_a_restart() {
    let history = History::new(Duration::from_millis(5000));
    let failed = |n: u64| Change::PublishFailed { reason: n.to_string() };
    for n in 0..250 {
        history.add(Duration::from_secs(n), vec![failed(n)]);
    }
    let record = history.follow().borrow().clone();
    assert_eq!(record.after(0).count(), KEPT);
    assert_eq!(record.after(0).next().unwrap().id, 5150);
    assert_eq!(record.after(5248).count(), 1);
    // The next run begins later than 250 ms after this one.
    let next = History::new(Duration::from_millis(9000));
    next.add(Duration::ZERO, vec![failed(0)]);
    assert_eq!(next.follow().borrow().after(5249).count(), 1);
}
