//! Several control planes behind one listener: each on its own way, on an Envoy of which one can
//! choose when it answers and what it refuses.

use std::collections::VecDeque;

use super::*;
use crate::ads::resource::{Chain, Listener};
use crate::ads::snapshot::Listeners;
use crate::xds::Encoded;

/// What a control plane publishes: the version of its clusters, the ports, and the map.
pub(super) type Plane<'p> = (&'p str, &'p str, &'p [u16], &'p str);

/// Returns the listener with a chain for each of these control planes. `a/2` is another form of the
/// chain of `a`.
pub(super) fn listener(base: &str, planes: &[&str]) -> Resource {
    let encoded = |text: &str| Encoded { body: text.to_owned().into(), version: text.to_owned() };
    let chain = |version: &&str| {
        let name = version.split('/').next().unwrap();
        let connections = format!("{FILTER}/{name}/connections");
        let chain = Chain {
            chain: encoded(version),
            connections: Some((connections, encoded("connections"))),
        };
        (name.to_owned(), chain)
    };
    let chains = planes.iter().map(chain).collect();
    Resource::of_listener(Listener { name: "listener".to_owned(), base: encoded(base), chains })
}

/// Returns the part of a control plane with two clusters, of which one has a name that its map gives.
fn plane(&(name, version, ports, map): &Plane<'_>) -> Part {
    let clusters = [name.to_owned(), format!("{name}_{map}")];
    let resources = clusters.iter().map(|name| resource(name, version)).collect();
    let secrets = [format!("{name}/peer-ca"), format!("{name}/client-ca")];
    let secrets = secrets.iter().map(|name| resource(name, "1")).collect();
    let filter = Resources::from([resource(&format!("{FILTER}/{name}"), map)]);
    let addresses = clusters.iter().map(|name| (name.clone(), endpoints(ports)));
    Part::new([resources, secrets, filter], addresses.collect())
}

/// Returns a snapshot with these control planes, others without a map yet, and a chain for each of
/// `chains`.
pub(super) fn planes(all: &[Plane<'_>], awaited: &[&str], chains: &[&str]) -> Arc<Snapshot> {
    planes_on("base", all, awaited, chains)
}

/// Returns the same, with this form of what all chains share.
pub(super) fn planes_on(
    base: &str,
    all: &[Plane<'_>],
    awaited: &[&str],
    chains: &[&str],
) -> Arc<Snapshot> {
    let parts = all.iter().map(|part| (part.0.to_owned(), Arc::new(plane(part)))).collect();
    let awaited = awaited.iter().map(|&name| name.to_owned()).collect();
    let named = Arc::new(listener(base, chains));
    let connections = named.listener.iter().flat_map(|listener| &listener.chains);
    let connections = connections.filter_map(|(name, chain)| {
        Some((name.clone(), Arc::new(Resource::of_connections(chain)?)))
    });
    let connections = connections.collect();
    let all =
        if chains.is_empty() { Resources::new() } else { [(named.name.clone(), named)].into() };
    let listeners = Some(Arc::new(Listeners { all, connections }));
    Arc::new(Snapshot { parts, awaited, listeners, early: None })
}

/// An Envoy that gets listeners, too. It asks for what its clusters, chains and connection managers
/// name, as Envoy does.
#[derive(Debug)]
pub(super) struct World {
    pub session: Session,
    /// Whether it speaks the form that tells what changed, and not the older one.
    delta: bool,
    /// What it uses.
    pub has: BTreeMap<(Kind, String), Arc<Resource>>,
    /// The versions that it tells the next companion. They do not change with a push that it refuses,
    /// though it uses a part of that.
    pub tells: BTreeMap<(Kind, String), String>,
    asked: BTreeSet<(Kind, String)>,
    /// What it has not answered yet.
    pub open: VecDeque<Push>,
    /// The versions that it refuses, and the control planes whose chains it refuses.
    pub bad: BTreeSet<String>,
    /// The control planes that were to blame for what it refused.
    pub blamed: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        Self::of_form(true)
    }

    /// Returns an Envoy that speaks the form that always sends everything.
    pub fn older() -> Self {
        Self::of_form(false)
    }

    fn of_form(delta: bool) -> Self {
        let (has, tells, asked, bad, blamed) = Default::default();
        let (session, open) = (Session::new(delta), VecDeque::new());
        let mut world = Self { session, delta, has, tells, asked, open, bad, blamed };
        world.reconnect();
        world
    }

    /// Begins a new stream, with a companion that knows nothing of the earlier one.
    pub fn reconnect(&mut self) {
        self.session = Session::new(self.delta);
        self.open.clear();
        for kind in [Kind::Clusters, Kind::Endpoints, Kind::Secrets, Kind::Listeners, Kind::Filter]
        {
            let names = self.asked.iter().filter(|(other, _)| *other == kind);
            let subscribe: Vec<_> = names.map(|(_, name)| name.clone()).collect();
            let has = self.tells.iter().filter(|((other, _), _)| *other == kind);
            let mut versions: Vec<_> =
                has.map(|((_, name), version)| (name.clone(), version.clone())).collect();
            let resumes = !versions.is_empty();
            if !self.delta {
                versions.clear();
            }
            if kind.is_for_all() || !subscribe.is_empty() {
                let request = Request { subscribe, resumes, versions, ..request(kind, &[]) };
                self.session.handle(request).unwrap();
            }
        }
    }

    fn ask(&mut self, kind: Kind, name: &str, wanted: bool) {
        let key = (kind, name.to_owned());
        let mut message = request(kind, &[]);
        if wanted && self.asked.insert(key.clone()) {
            message.subscribe.push(name.to_owned());
        } else if !wanted && self.asked.remove(&key) {
            self.has.remove(&key);
            self.tells.remove(&key);
            message.unsubscribe.push(name.to_owned());
        } else {
            return;
        }
        self.session.handle(message).unwrap();
    }

    /// Asks for what is named now, and for nothing else any more.
    fn follow(&mut self) {
        let mut named = BTreeSet::new();
        for ((kind, name), one) in &self.has {
            let plane = name.split('_').next().unwrap();
            match kind {
                Kind::Clusters => {
                    named.insert((Kind::Endpoints, name.clone()));
                    named.insert((Kind::Secrets, format!("{plane}/peer-ca")));
                }
                Kind::Listeners => {
                    for plane in one.listener.as_ref().unwrap().chains.keys() {
                        named.insert((Kind::Secrets, format!("{plane}/client-ca")));
                        named.insert((Kind::Filter, format!("{FILTER}/{plane}/connections")));
                        named.insert((Kind::Filter, format!("{FILTER}/{plane}")));
                    }
                }
                _ => {}
            }
        }
        for (kind, name) in named.clone() {
            self.ask(kind, &name, true);
        }
        for (kind, name) in self.asked.difference(&named).cloned().collect::<Vec<_>>() {
            self.ask(kind, &name, false);
        }
    }

    /// Answers the oldest push. Returns it in words; a refused one with `!`.
    pub fn answer(&mut self) -> Option<String> {
        let push = self.open.pop_front()?;
        let text = words(&push);
        let is_bad = |one: &Arc<Resource>| {
            let is_bad = |listener: &Listener| {
                let mut chains = listener.chains.iter();
                self.bad.contains(&listener.base.version)
                    || chains.any(|(name, chain)| {
                        self.bad.contains(name) || self.bad.contains(&chain.chain.version)
                    })
            };
            self.bad.contains(&one.version) || one.listener.as_ref().is_some_and(is_bad)
        };
        let bad = push.upserts.iter().position(is_bad);
        for (number, one) in push.upserts.iter().enumerate() {
            // Clusters are taken one by one; whatever else comes after a bad one is not.
            let is_taken = match push.kind {
                Kind::Clusters => !self.bad.contains(&one.version),
                _ => bad.is_none_or(|bad| number < bad),
            };
            if is_taken {
                self.has.insert((push.kind, one.name.clone()), Arc::clone(one));
            }
            if bad.is_none() {
                self.tells.insert((push.kind, one.name.clone()), one.version.clone());
            }
        }
        for name in &push.removed {
            self.has.remove(&(push.kind, name.clone()));
            if bad.is_none() {
                self.tells.remove(&(push.kind, name.clone()));
            }
        }
        if bad.is_some() {
            self.follow();
            if let Outcome::Refused { part, .. } = answer(&mut self.session, &push, Some("bad")) {
                self.blamed.push(part);
            }
            return Some(format!("!{text}"));
        }
        self.follow();
        answer(&mut self.session, &push, None);
        Some(text)
    }

    pub fn next(&mut self, target: &Arc<Snapshot>) {
        for mut push in self.session.next(target, 1).unwrap() {
            if !self.delta {
                let all = self.session.all_with(&push);
                push.upserts = all.into_iter().map(|(resource, _)| resource).collect();
                let is_there = |name: &str| push.upserts.iter().any(|one| one.name == name);
                let has = self.has.keys().filter(|(kind, _)| *kind == push.kind);
                let gone = has.filter(|(kind, name)| kind.is_for_all() && !is_there(name));
                push.removed = gone.map(|(_, name)| name.clone()).collect();
            }
            self.open.push_back(push);
        }
    }

    /// Answers everything until nothing comes any more. Returns what came.
    pub fn settle(&mut self, target: &Arc<Snapshot>) -> Vec<String> {
        let mut came = Vec::new();
        self.next(target);
        while let Some(text) = self.answer() {
            came.push(text);
            assert!(came.len() < 5000, "it never ends: {:?}", &came[4900..]);
            self.next(target);
        }
        came
    }

    /// Fails if a chain names a cluster that this Envoy does not have. With `refused`, a control plane
    /// may have no cluster, because it was refused.
    pub fn check(&self, refused: bool) {
        let Some(listener) = self.has.get(&(Kind::Listeners, "listener".to_owned())) else {
            return;
        };
        let is_there = |name: &str| self.has.contains_key(&(Kind::Clusters, name.to_owned()));
        for plane in listener.listener.as_ref().unwrap().chains.keys() {
            assert!(is_there(plane) || refused, "the chain of {plane} names a missing cluster");
            if let Some(map) = self.has.get(&(Kind::Filter, format!("{FILTER}/{plane}"))) {
                let cluster = format!("{plane}_{}", map.version);
                assert!(is_there(&cluster), "the map of {plane} names {cluster}");
            }
        }
    }
}

#[test]
fn a_new_control_plane_gets_clusters_then_its_chain_then_its_map() {
    let mut world = World::new();
    let one = planes(&[("a", "1", &[1], "m1")], &[], &["a"]);
    let came = world.settle(&one);
    let expected = [
        "clusters a a_m1",
        "endpoints a:1 a_m1:1",
        "secrets a/peer-ca",
        "listeners listener",
        "secrets a/client-ca",
        "filter mixed-version-proxy/a/connections",
        "filter mixed-version-proxy/a",
    ];
    assert_eq!(came, expected);
    // `/v1/envoys` compares these.
    let versions = Kind::ALL.map(|kind| (kind.as_str(), world.session.version(kind)));
    let versions = versions.into_iter().filter_map(|(kind, version)| Some((kind, version?)));
    assert_eq!(versions.collect::<BTreeMap<_, _>>(), one.versions());
    let came =
        world.settle(&planes(&[("a", "1", &[1], "m1"), ("b", "1", &[2], "m1")], &[], &["a", "b"]));
    assert!(came.iter().all(|text| !text.contains("a/") && !text.contains(" a")), "{came:?}");
}

#[test]
fn a_change_of_one_control_plane_sends_nothing_of_another() {
    let mut world = World::new();
    let other = ("b", "1", [2].as_slice(), "m1");
    world.settle(&planes(&[("a", "1", &[1], "m1"), other], &[], &["a", "b"]));
    let came = world.settle(&planes(&[("a", "1", &[3], "m2"), other], &[], &["a", "b"]));
    let expected = [
        "clusters a_m2",
        "endpoints a:3",
        "endpoints a_m2:3",
        "filter mixed-version-proxy/a",
        "clusters -a_m1",
    ];
    assert_eq!(came, expected);
}

#[test]
fn a_refused_control_plane_does_not_delay_the_others() {
    let mut world = World::new();
    world.bad.insert("bad".to_owned());
    let names = ["a", "b", "c", "d"];
    let all = names.map(|name| (name, if name == "c" { "bad" } else { "1" }, [1].as_slice(), "m1"));
    let came = world.settle(&planes(&all, &[], &names));
    let clusters: Vec<_> = came.iter().filter(|text| text.contains("clusters")).collect();
    let expected = [
        "!clusters a a_m1 b b_m1 c c_m1 d d_m1",
        "clusters a a_m1 b b_m1",
        "!clusters c c_m1 d d_m1",
        "!clusters c c_m1",
        "clusters d d_m1",
    ];
    assert_eq!(clusters, expected);
    world.check(true);
    for name in ["a", "b", "d"] {
        assert!(world.has.contains_key(&(Kind::Filter, format!("{FILTER}/{name}"))), "{came:?}");
    }
    assert!(!world.has.contains_key(&(Kind::Filter, format!("{FILTER}/c"))));
    // What it refused last is sent alone, so the others are not refused with it.
    let bad = ["bad", "worse"].map(str::to_owned);
    world.bad.extend(bad);
    let all =
        names.map(|name| (name, if name == "c" { "worse" } else { "2" }, [1].as_slice(), "m1"));
    let came = world.settle(&planes(&all, &[], &names));
    let clusters: Vec<_> = came.iter().filter(|text| text.contains("clusters")).collect();
    assert_eq!(clusters, ["clusters a a_m1 b b_m1 d d_m1", "!clusters c c_m1"]);
}

#[test]
fn a_control_plane_goes_after_its_chain() {
    let mut world = World::new();
    let (a, b) = (("a", "1", [1].as_slice(), "m1"), ("b", "1", [2].as_slice(), "m1"));
    world.settle(&planes(&[a, b], &[], &["a", "b"]));
    // The chain is still there.
    assert!(world.settle(&planes(&[a], &[], &["a", "b"])).is_empty());
    let came = world.settle(&planes(&[a], &[], &["a"]));
    assert_eq!(came, ["listeners listener", "clusters -b -b_m1"]);
    assert!(world.settle(&planes(&[a], &[], &["a"])).is_empty());
    assert!(world.has.keys().all(|(_, name)| !name.starts_with('b')), "{:?}", world.has.keys());
}

#[test]
fn a_companion_that_starts_takes_nothing_from_an_envoy() {
    let mut world = World::new();
    let (a, b) = (("a", "1", [1].as_slice(), "m1"), ("b", "1", [2].as_slice(), "m1"));
    let before = planes(&[a, b], &[], &["a", "b"]);
    world.settle(&before);
    world.reconnect();
    let mut starting = Snapshot::clone(&planes(&[], &["a", "b"], &[]));
    starting.listeners = None;
    assert!(world.settle(&Arc::new(starting)).is_empty());
    assert!(world.settle(&planes(&[], &["a", "b"], &["a", "b"])).is_empty());
    // A listener without the chain of one that has no map yet waits for it.
    assert!(world.settle(&planes(&[a], &["b"], &["a"])).is_empty());
    assert!(world.settle(&before).is_empty());
    // One that was removed meanwhile goes, listener first.
    world.reconnect();
    let came = world.settle(&planes(&[a], &[], &["a"]));
    assert_eq!(came, ["listeners listener", "clusters -b -b_m1"]);
}

/// Returns the chains that an Envoy has.
pub(super) fn chains(world: &World) -> Vec<String> {
    let listener = world.has.get(&(Kind::Listeners, "listener".to_owned()));
    let listener = listener.and_then(|listener| listener.listener.as_ref());
    listener.iter().flat_map(|listener| listener.chains.keys().cloned()).collect()
}
