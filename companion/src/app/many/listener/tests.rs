//! Which control planes have a chain, and when the listener is published.

use super::*;
use crate::ads::{Envoys, Selection};
use crate::app::many::fixture::Files;

const SHIPPED: &str = include_str!("../../../../../envoy-config/shared-ingress/listener.yaml");

struct World {
    files: Files,
    known: watch::Sender<Arc<Known>>,
    snapshots: Snapshots,
    progress: Progress,
    task: ListenerTask,
}

impl World {
    fn new(template: &str) -> Self {
        let files = Files::new(template);
        let (known, snapshots) = (watch::Sender::default(), Snapshots::new(Envoys::default()));
        let progress = Progress::default();
        let inputs = (known.subscribe(), snapshots.clone());
        let task = ListenerTask::new(&files.directory, inputs, &progress).unwrap();
        Self { files, known, snapshots, progress, task }
    }

    /// Adds control planes, whose tasks have begun.
    fn add(&self, names: &[&str]) {
        for name in names {
            let (name, config) = self.files.config(name);
            self.snapshots.await_part(name.as_str());
            self.progress.begun(&name);
            self.known.send_modify(|known| {
                Arc::make_mut(known).configs.insert(name, config);
            });
        }
    }

    fn settle(&self, names: &[&str]) {
        names.iter().for_each(|name| self.progress.settled(&name.parse().unwrap()));
    }

    /// Updates. Returns whether something was published.
    fn update(&mut self) -> bool {
        let mut snapshots = self.snapshots.subscribe();
        let snapshot = snapshots.borrow_and_update().clone();
        self.task.update(&snapshot);
        snapshots.has_changed().unwrap()
    }

    /// The control planes that have a chain.
    fn chains(&self) -> Vec<String> {
        self.chains_of(&Selection::All).unwrap_or_default()
    }

    /// The control planes that have a chain for an Envoy that gets these. `None` if it gets no listener.
    fn chains_of(&self, selection: &Selection) -> Option<Vec<String>> {
        let snapshot = self.snapshots.of(selection).borrow().clone();
        snapshot.listeners.as_ref()?;
        let listeners = snapshot.listeners.iter().flat_map(|listeners| listeners.all.values());
        let listeners = listeners.filter_map(|one| one.listener.as_ref());
        Some(listeners.flat_map(|listener| listener.chains.keys().cloned()).collect())
    }
}

fn some(names: &[&str]) -> Selection {
    Selection::Some(Arc::new(names.iter().map(|name| name.parse().unwrap()).collect()))
}

#[test]
fn no_envoy_gets_a_listener_before_every_control_plane_of_it_had_the_time_to_get_a_map() {
    let mut world = World::new(SHIPPED);
    assert!(!world.update());
    assert_eq!(world.chains_of(&some(&["missing"])), None, "nothing is known yet");
    world.add(&["a", "b", "c"]);
    let [one, two] = [some(&["a", "missing"]), some(&["a", "b"])];
    world.settle(&["a"]);
    assert!(world.update());
    assert_eq!(world.chains_of(&one).unwrap(), ["a"]);
    assert_eq!((world.chains_of(&two), world.chains_of(&Selection::All)), (None, None));
    // One that comes now is waited for by nobody.
    world.add(&["d"]);
    let mut followed = world.snapshots.of(&one);
    followed.mark_unchanged();
    world.settle(&["b"]);
    assert!(world.update());
    assert!(!followed.has_changed().unwrap(), "others wake it");
    assert_eq!(world.chains_of(&two).unwrap(), ["a", "b"]);
    assert_eq!(world.chains_of(&Selection::All), None);
    assert!(!*world.task.ready().borrow());
    world.settle(&["c"]);
    assert!(world.update());
    assert_eq!(world.chains(), ["a", "b", "c"]);
    assert!(*world.task.ready().borrow());
    assert!(!followed.has_changed().unwrap(), "others wake it");
    assert!(!world.update());
}

#[test]
fn a_control_plane_that_is_removed_during_the_start_is_not_waited_for() {
    let mut world = World::new(SHIPPED);
    world.add(&["a", "b"]);
    world.settle(&["a"]);
    world.update();
    let b: ClusterPrefix = "b".parse().unwrap();
    world.known.send_modify(|known| drop(Arc::make_mut(known).configs.remove(&b)));
    assert!(world.update());
    assert_eq!(world.chains(), ["a"]);
}

#[test]
fn a_later_control_plane_has_a_chain_with_its_map_or_when_it_had_the_time_to_get_one() {
    let mut world = World::new(SHIPPED);
    world.add(&["a"]);
    world.settle(&["a"]);
    world.update();
    world.add(&["b", "c"]);
    assert!(!world.update());
    world.snapshots.publish("b", Default::default());
    assert!(world.update());
    assert_eq!(world.chains(), ["a", "b"]);
    // An Envoy that knows it from another companion could get no other listener.
    world.settle(&["c"]);
    assert!(world.update());
    assert_eq!(world.chains(), ["a", "b", "c"]);
}

#[test]
fn a_chain_that_cannot_be_made_is_tried_again_only_if_something_changes() {
    // Only some names are bytes in base64.
    let bytes = "\n    metadata: {typed_filter_metadata: {x: {\"@type\": \
                 type.googleapis.com/google.protobuf.BytesValue, value: \"${control_plane}\"}}}";
    let (before, after) = SHIPPED.split_once("\n    transport_socket:").unwrap();
    let mut world = World::new(&format!("{before}{bytes}\n    transport_socket:{after}"));
    world.add(&["abcd", "abcde"]);
    world.settle(&["abcd", "abcde"]);
    assert!(world.update());
    assert_eq!(world.chains(), ["abcd"]);
    let mut published = world.task.ready();
    published.mark_unchanged();
    world.update();
    assert!(!published.has_changed().unwrap());
    let template = world.files.directory.listener_template.clone();
    std::fs::write(&template, SHIPPED).unwrap();
    assert!(world.task.template.look(&template));
    world.task.chains.clear();
    assert!(world.update());
    assert_eq!(world.chains(), ["abcd", "abcde"]);
}
