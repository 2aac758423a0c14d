//! An Envoy that answers, one that refuses, one that moves, and one that never answers.

mod older;
mod planes;
mod random;
mod refused;

use std::net::SocketAddr;

use super::exchange::{MOST_BYTES, MOST_NAMES};
use super::*;
use crate::ads::resource::{endpoints_of, version_of};
use crate::ads::snapshot::{Part, Resources};
use crate::endpoints::Endpoints;

const FILTER: &str = crate::xds::FILTER_NAME;

/// A push of the filter, in words.
const MAP: &str = "filter mixed-version-proxy";

fn resource(name: &str, version: &str) -> (String, Arc<Resource>) {
    let resource = Resource::new(Kind::Clusters, name.into(), version.into(), Vec::new());
    (name.to_owned(), Arc::new(resource))
}

fn endpoints(ports: &[u16]) -> Endpoints {
    ports.iter().map(|port| SocketAddr::from(([10, 0, 0, 1], *port))).collect()
}

/// Returns a snapshot with clusters of these names and endpoints, and with a map.
fn snapshot(clusters: &[(&str, &str, &[u16])], map: &str) -> Arc<Snapshot> {
    let parts = BTreeMap::from([("a".to_owned(), Arc::new(part(clusters, map)))]);
    Arc::new(Snapshot { parts, ..Snapshot::default() })
}

fn part(clusters: &[(&str, &str, &[u16])], map: &str) -> Part {
    let resources = clusters.iter().map(|(name, version, _)| resource(name, version)).collect();
    let secrets = Resources::from([resource("ca", "1")]);
    let filter = Resources::from([resource(FILTER, map)]);
    let addresses = clusters.iter().map(|(name, _, ports)| ((*name).to_owned(), endpoints(ports)));
    Part::new([resources, secrets, filter], addresses.collect())
}

fn request(kind: Kind, subscribe: &[&str]) -> Request {
    Request {
        kind,
        subscribe: subscribe.iter().map(|&name| name.to_owned()).collect(),
        unsubscribe: Vec::new(),
        resumes: false,
        versions: Vec::new(),
        nonce: String::new(),
        refusal: None,
    }
}

fn answer(session: &mut Session, push: &Push, refusal: Option<&str>) -> Outcome {
    let mut answer = request(push.kind, &[]);
    answer.nonce.clone_from(&push.nonce);
    answer.refusal = refusal.map(str::to_owned);
    session.handle(answer).unwrap().unwrap().outcome
}

/// Returns a push in words, such as `clusters a b -c`.
fn words(push: &Push) -> String {
    let upserts = push.upserts.iter().map(|resource| match push.kind {
        Kind::Endpoints => {
            let ports = endpoints_of(&resource.version).unwrap();
            let ports: Vec<_> = ports.all().map(|address| address.port().to_string()).collect();
            format!(" {}:{}", resource.name, ports.join(","))
        }
        _ => format!(" {}", resource.name),
    });
    let removed = push.removed.iter().map(|name| format!(" -{name}"));
    push.kind.as_str().to_owned() + &upserts.chain(removed).collect::<String>()
}

/// An Envoy as Envoy behaves: it asks for the endpoints and secrets of the clusters that it gets.
struct Envoy {
    session: Session,
    clusters: BTreeSet<String>,
}

impl Envoy {
    fn new() -> Self {
        let mut session = Session::new(true);
        session.handle(request(Kind::Clusters, &[])).unwrap();
        session.handle(request(Kind::Filter, &[FILTER])).unwrap();
        Self { session, clusters: Default::default() }
    }

    fn accept(&mut self, push: &Push) {
        if push.kind == Kind::Clusters {
            for cluster in &push.upserts {
                if self.clusters.insert(cluster.name.clone()) {
                    self.session.handle(request(Kind::Endpoints, &[&cluster.name])).unwrap();
                }
            }
            if self.session.names(Kind::Secrets).is_empty() {
                self.session.handle(request(Kind::Secrets, &["ca"])).unwrap();
            }
            for name in &push.removed {
                self.clusters.remove(name);
                let mut gone = request(Kind::Endpoints, &[]);
                gone.unsubscribe = vec![name.clone()];
                self.session.handle(gone).unwrap();
            }
        }
        answer(&mut self.session, push, None);
    }

    /// Answers everything until nothing comes any more. Returns what came.
    fn settle(&mut self, target: &Arc<Snapshot>) -> Vec<String> {
        let mut came = Vec::new();
        let mut open = std::collections::VecDeque::from(self.session.next(target, 1).unwrap());
        while let Some(push) = open.pop_front() {
            came.push(words(&push));
            self.accept(&push);
            open.extend(self.session.next(target, 1).unwrap());
        }
        came
    }
}

#[test]
fn a_new_envoy_gets_the_map_last() {
    let mut envoy = Envoy::new();
    let target = snapshot(&[("a", "1", &[1, 2])], "m1");
    let expected = ["clusters a", "endpoints a:1,2", "secrets ca", MAP];
    assert_eq!(envoy.settle(&target), expected);
    assert!(envoy.settle(&target).is_empty());
}

#[test]
fn clusters_come_before_the_map_and_go_after_it_and_endpoints_as_well() {
    let mut envoy = Envoy::new();
    envoy.settle(&snapshot(&[("a", "1", &[1, 2]), ("a_b", "1", &[2])], "m1"));
    let came = envoy.settle(&snapshot(&[("a", "1", &[2, 3]), ("a_c", "1", &[3])], "m2"));
    let expected = [
        "clusters a_c",
        "endpoints a:2",
        "endpoints a_c:3",
        MAP,
        "clusters -a_b",
        "endpoints a:2,3",
    ];
    assert_eq!(came, expected);
}

#[test]
fn an_envoy_that_missed_snapshots_goes_to_the_latest_at_once() {
    let mut envoy = Envoy::new();
    envoy.settle(&snapshot(&[("a", "1", &[1])], "m1"));
    let pushes = envoy.session.next(&snapshot(&[("a", "1", &[1]), ("a_b", "1", &[1])], "m2"), 1);
    let [push] = pushes.unwrap().try_into().unwrap();
    // It has not answered: whatever changes, nothing more of this type is sent.
    for round in 0..100 {
        let target = snapshot(&[("a", "1", &[1]), ("a_c", "1", &[1])], &format!("m{round}"));
        assert!(envoy.session.next(&target, 1).unwrap().is_empty());
    }
    envoy.accept(&push);
    let came = envoy.settle(&snapshot(&[("a", "1", &[1]), ("a_d", "1", &[1])], "m9"));
    let expected = ["clusters a_d", "endpoints -a_b", "endpoints a_d:1", MAP, "clusters -a_b"];
    assert_eq!(came, expected);
}

#[test]
fn a_refused_resource_is_sent_again_only_if_it_changes_and_the_map_waits() {
    let mut envoy = Envoy::new();
    envoy.settle(&snapshot(&[("a", "1", &[1])], "m1"));
    let bad = snapshot(&[("a", "bad", &[1])], "m2");
    // Envoy does not answer before the cluster has endpoints, even if it has them.
    let [clusters, endpoints] = envoy.session.next(&bad, 1).unwrap().try_into().unwrap();
    assert_eq!([words(&clusters), words(&endpoints)], ["clusters a", "endpoints a:1"]);
    answer(&mut envoy.session, &clusters, Some("no"));
    answer(&mut envoy.session, &endpoints, None);
    assert!(envoy.session.next(&bad, 1).unwrap().is_empty());
    let came = envoy.settle(&snapshot(&[("a", "2", &[1])], "m2"));
    assert_eq!(came, ["clusters a", "endpoints a:1", MAP]);
}

#[test]
fn a_refused_map_keeps_the_clusters_of_the_last_one() {
    let mut envoy = Envoy::new();
    envoy.settle(&snapshot(&[("a", "1", &[1]), ("a_b", "1", &[1])], "m1"));
    let bad = snapshot(&[("a", "1", &[1, 2])], "bad");
    let [push] = envoy.session.next(&bad, 1).unwrap().try_into().unwrap();
    assert_eq!(words(&push), MAP);
    answer(&mut envoy.session, &push, Some("no"));
    assert!(envoy.session.next(&bad, 1).unwrap().is_empty());
    let came = envoy.settle(&snapshot(&[("a", "1", &[1, 2])], "m3"));
    assert_eq!(came, [MAP, "clusters -a_b", "endpoints a:1,2"]);
}

/// Returns a session with an Envoy that has `has` from another companion.
fn moved(has: &Snapshot) -> Envoy {
    let has = &has.parts["a"];
    let mut session = Session::new(true);
    let versions = |all: &Resources| -> Vec<_> {
        all.iter().map(|(name, one)| (name.clone(), one.version.clone())).collect()
    };
    let names: Vec<_> = has.endpoints.keys().map(String::as_str).collect();
    let endpoints = has.endpoints.iter().map(|(name, all)| (name.clone(), version_of(all)));
    for (kind, names, versions) in [
        (Kind::Clusters, &[] as &[&str], versions(&has.clusters)),
        (Kind::Endpoints, &names, endpoints.collect()),
        (Kind::Secrets, &["ca"], versions(&has.secrets)),
        (Kind::Filter, &[FILTER], versions(&has.filter)),
    ] {
        session.handle(Request { versions, ..request(kind, names) }).unwrap();
    }
    let clusters = has.clusters.keys().cloned().collect();
    Envoy { session, clusters }
}

#[test]
fn an_envoy_that_moves_to_another_companion_gets_what_differs_in_the_same_order() {
    let has = snapshot(&[("a", "1", &[1, 2]), ("a_b", "1", &[2])], "m1");
    assert!(moved(&has).settle(&has).is_empty());
    let came = moved(&has).settle(&snapshot(&[("a", "1", &[2, 3])], "m2"));
    assert_eq!(came, ["endpoints a:2", MAP, "clusters -a_b", "endpoints a:2,3"]);
}

#[test]
fn nothing_is_removed_before_it_is_known_which_map_the_envoy_has() {
    let mut session = Session::new(true);
    let versions = [("a", "1"), ("a_b", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    session.handle(Request { versions, ..request(Kind::Clusters, &[]) }).unwrap();
    assert!(session.next(&snapshot(&[("a", "1", &[1])], "m2"), 1).unwrap().is_empty());
}

#[test]
fn a_name_that_does_not_exist_is_told_once() {
    let mut envoy = Envoy::new();
    let target = snapshot(&[("a", "1", &[1])], "m1");
    envoy.settle(&target);
    envoy.session.handle(request(Kind::Secrets, &["front-proxy"])).unwrap();
    assert_eq!(envoy.settle(&target), ["secrets -front-proxy"]);
    assert!(envoy.settle(&target).is_empty());
}

#[test]
fn an_envoy_that_asks_for_too_many_names_is_refused() {
    let mut session = Session::new(true);
    let names: Vec<_> = (0..=MOST_NAMES).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(session.handle(request(Kind::Secrets, &names)).is_err());
    let long = "n".repeat(MOST_BYTES / 2);
    let mut session = Session::new(true);
    session.handle(request(Kind::Secrets, &[&long])).unwrap();
    // What it does not ask for any more does not count.
    let unsubscribe = vec![long.clone()];
    session.handle(Request { unsubscribe, ..request(Kind::Secrets, &[]) }).unwrap();
    session.handle(request(Kind::Secrets, &[&long])).unwrap();
    assert!(session.handle(request(Kind::Secrets, &[&format!("{long}{long}")])).is_err());
}
