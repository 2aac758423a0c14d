//! Random orders of what happens to control planes, seen by an Envoy that gets some of them.

use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::ads::envoys::Envoys;
use crate::ads::kind::Kind;
use crate::ads::resource::Chain;
use crate::ads::snapshot::Part;
use crate::ads::snapshots::Snapshots;
use crate::xds::{Encoded, FILTER_NAME};

/// Some names begin with others.
const NAMES: [&str; 5] = ["red", "red-1", "re", "infra-red", "r9"];

#[derive(Clone, Debug)]
enum Event {
    Await(usize),
    Publish(usize, u8),
    Remove(usize),
    /// The listener has these chains, in this version.
    Listen(Vec<usize>, u8),
}

impl Event {
    /// Returns whether it is about one of these control planes.
    fn is_about(&self, names: &Names) -> bool {
        let has = |number: &usize| names.contains(NAMES[*number]);
        match self {
            Self::Await(number) | Self::Publish(number, _) | Self::Remove(number) => has(number),
            Self::Listen(..) => true,
        }
    }

    fn happen(&self, snapshots: &Snapshots) {
        match self {
            Self::Await(number) => snapshots.await_part(NAMES[*number]),
            Self::Publish(number, version) => {
                snapshots.publish(NAMES[*number], part(NAMES[*number], *version));
            }
            Self::Remove(number) => snapshots.remove(NAMES[*number]),
            Self::Listen(chains, version) => {
                let chains = chains.iter().map(|number| NAMES[*number]);
                snapshots.listen([listener(chains, *version)], BTreeSet::new());
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let plane = || 0..NAMES.len();
    let planes = proptest::collection::btree_set(plane(), 0..NAMES.len());
    prop_oneof![
        plane().prop_map(Event::Await),
        (plane(), 0..3_u8).prop_map(|(plane, version)| Event::Publish(plane, version)),
        plane().prop_map(Event::Remove),
        (planes, 0..2_u8)
            .prop_map(|(planes, version)| Event::Listen(planes.into_iter().collect(), version)),
    ]
}

fn names() -> impl Strategy<Value = Names> {
    let names = proptest::collection::btree_set(0..NAMES.len(), 0..NAMES.len());
    names.prop_map(|numbers| set(numbers.into_iter().map(|number| NAMES[number])))
}

fn set<'n>(names: impl IntoIterator<Item = &'n str>) -> Names {
    Arc::new(names.into_iter().map(|name| name.parse().unwrap()).collect())
}

/// Returns a resource whose message has the name of its control plane.
fn resource(kind: Kind, name: String, version: u8) -> (String, Arc<Resource>) {
    let body = format!("<{name}>").into_bytes();
    let resource = Resource::new(kind, name.clone(), format!("{version}"), body);
    (name, Arc::new(resource))
}

fn part(name: &str, version: u8) -> Part {
    let clusters = [name.to_owned(), format!("{name}__rotation")];
    let clusters = clusters.map(|cluster| resource(Kind::Clusters, cluster, version)).into();
    let secrets = [resource(Kind::Secrets, format!("{name}/client-ca"), version)].into();
    let filter = [resource(Kind::Filter, format!("{FILTER_NAME}/{name}"), version)].into();
    Part::new([clusters, secrets, filter], [(name.to_owned(), [].into_iter().collect())].into())
}

fn encoded(text: String, version: u8) -> Encoded {
    Encoded { version: format!("{text} {version}"), body: text.into_bytes().into() }
}

fn listener<'n>(chains: impl Iterator<Item = &'n str>, version: u8) -> Listener {
    let chain = |name: &str| {
        let connections = format!("{FILTER_NAME}/{name}/connections");
        let connections = (connections.clone(), encoded(format!("<{connections}>"), version));
        let chain = encoded(format!("<{name}>"), version);
        (name.to_owned(), Chain { chain, connections: Some(connections) })
    };
    let base = encoded("base".to_owned(), 0);
    Listener { name: "kubernetes".to_owned(), base, chains: chains.map(chain).collect() }
}

/// Returns everything that a snapshot says, and everything that could be sent of it.
fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let listeners = snapshot.listeners.iter();
    let listeners = listeners.flat_map(|all| all.all.iter().chain(&all.connections));
    let parts = snapshot.parts.values();
    let parts =
        parts.flat_map(|part| part.clusters.iter().chain(&part.secrets).chain(&part.filter));
    let resources = parts.chain(listeners).flat_map(|(name, one)| {
        let forms = [one.delta(0).concat(), one.whole(0).concat()];
        [format!(" {name} {one:?} ").into_bytes(), forms.concat()]
    });
    let mut all: Vec<u8> = resources.flatten().collect();
    all.extend(format!("{:?} {snapshot:?}", snapshot.versions()).into_bytes());
    all
}

/// Returns whether a name is among these bytes, and not as a part of another name.
fn names_plane(bytes: &[u8], name: &str) -> bool {
    let in_name = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    let at = |at: usize| at.checked_sub(1).and_then(|at| bytes.get(at));
    let mut places = bytes.windows(name.len()).enumerate();
    places.any(|(place, window)| {
        window == name.as_bytes() && !in_name(at(place)) && !in_name(bytes.get(place + name.len()))
    })
}

/// Returns the control planes with parts, the awaited ones, and those with chains.
fn content(snapshot: &Snapshot) -> [Vec<String>; 4] {
    let listeners = snapshot.listeners.as_ref();
    let of = |listener: &Listener| listener.chains.keys().cloned().collect::<Vec<_>>();
    let chains = listeners.and_then(|all| all.all.get("kubernetes")?.listener.as_ref().map(of));
    [
        snapshot.parts.keys().cloned().collect(),
        snapshot.awaited.iter().cloned().collect(),
        chains.unwrap_or_default(),
        listeners.map(|all| all.connections.keys().cloned().collect()).unwrap_or_default(),
    ]
}

fn follow(snapshots: &Snapshots, names: &Names) -> watch::Receiver<Arc<Snapshot>> {
    snapshots.of(&Selection::Some(Arc::clone(names)))
}

/// Fails unless `selected` is just what `latest` has of these control planes.
fn check(selected: &Snapshot, latest: &Snapshot, names: &Names) {
    let expected = content(latest).map(|mut all| {
        all.retain(|name| names.contains(name.as_str()));
        all
    });
    assert_eq!(content(selected), expected);
    assert_eq!(selected.listeners.is_some(), latest.listeners.is_some());
    for (name, part) in &selected.parts {
        assert!(Arc::ptr_eq(part, &latest.parts[name]), "{name} is not shared");
    }
    let fresh = Selected::new(Arc::clone(names)).next(latest);
    assert_eq!(fresh.snapshot.versions(), selected.versions());
    let sent = bytes(selected);
    for other in NAMES.into_iter().filter(|name| !names.contains(*name)) {
        assert!(!names_plane(&sent, other), "{other} in {}", String::from_utf8_lossy(&sent));
    }
}

proptest! {
    #[test]
    fn an_envoy_gets_its_control_planes_and_not_a_byte_of_another(
        events in proptest::collection::vec(event(), 1..40),
        names in names(),
    ) {
        let snapshots = Snapshots::new(Envoys::default());
        let mut selected = follow(&snapshots, &names);
        for event in events {
            let before = Arc::clone(&selected.borrow_and_update());
            event.happen(&snapshots);
            let now = Arc::clone(&selected.borrow());
            check(&now, &snapshots.subscribe().borrow(), &names);
            prop_assert!(event.is_about(&names) || !selected.has_changed().unwrap(), "{event:?}");
            // Whatever it was: only what is new in it wakes anybody.
            prop_assert_eq!(selected.has_changed().unwrap(), !is_same(&before, &now));
            let same = before.versions() == now.versions() && content(&before) == content(&now);
            prop_assert!(!same || !selected.has_changed().unwrap(), "{event:?}");
        }
    }
}

#[test]
fn the_search_for_the_name_of_a_control_plane_finds_only_whole_names() {
    let snapshots = Snapshots::new(Envoys::default());
    Event::Publish(1, 0).happen(&snapshots);
    Event::Listen(vec![2], 0).happen(&snapshots);
    let all = bytes(&snapshots.subscribe().borrow());
    assert!(names_plane(&all, "red-1") && names_plane(&all, "re"));
    assert!(!names_plane(&all, "red") && !names_plane(&all, "infra-red"));
}

#[test]
fn envoys_that_get_the_same_share_it_and_it_goes_with_the_last_of_them() {
    let snapshots = Snapshots::new(Envoys::default());
    (0..3).for_each(|number| Event::Publish(number, 0).happen(&snapshots));
    Event::Listen(vec![0, 1, 2], 0).happen(&snapshots);
    let groups = [set(["red"]), set(["red", "re"]), set([])];
    let envoys: Vec<_> = (0..1_000)
        .map(|number| {
            follow(&snapshots, &set(groups[number % 3].iter().map(ClusterPrefix::as_str)))
        })
        .collect();
    assert_eq!(snapshots.selections(), 3);
    for (number, envoy) in envoys.iter().enumerate() {
        assert!(Arc::ptr_eq(&envoy.borrow(), &envoys[number % 3].borrow()));
    }
    // Who lists all chains has the listener of those who get all.
    let all = follow(&snapshots, &set(NAMES));
    let listener =
        |snapshot: &Snapshot| Arc::clone(&snapshot.listeners.as_ref().unwrap().all["kubernetes"]);
    assert!(Arc::ptr_eq(&listener(&all.borrow()), &listener(&snapshots.subscribe().borrow())));
    drop((envoys, all));
    Event::Publish(0, 1).happen(&snapshots);
    assert_eq!(snapshots.selections(), 0);
}

#[test]
fn selections_are_sets() {
    let some = |names: &[&str]| Selection::Some(set(names.iter().copied()));
    let all = Selection::All;
    assert_eq!(all.and(&all), all);
    assert_eq!(all.and(&some(&["a"])), some(&["a"]));
    assert_eq!(some(&["a"]).and(&all), some(&["a"]));
    assert_eq!(some(&["a", "b"]).and(&some(&["b", "c"])), some(&["b"]));
    assert_eq!(some(&["a"]).and(&some(&["b"])), some(&[]));
    assert_eq!(some(&["a"]).or(&some(&["b"])), some(&["a", "b"]));
    assert_eq!(some(&["a"]).or(&all), all);
    assert!(all.has("any") && !some(&["a"]).has("b"));
}
