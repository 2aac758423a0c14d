//! Files that come, change, break, clash and go.

use super::*;
use crate::config::{ControlPlanes, MainConfig};

struct World {
    /// Has the files that the control planes name.
    _named: tempfile::TempDir,
    root: String,
    directory: ControlPlaneDirectory,
    files: Files,
    read: Read,
}

impl World {
    fn new() -> Self {
        let named = tempfile::tempdir().unwrap();
        let root = named.path().display().to_string();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        std::fs::write(format!("{root}/ca"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(format!("{root}/token"), "t").unwrap();
        let main = format!(
            "stateDirectory: {root}/state\ncontrolPlanes: {{directory: {root}/files}}\n\
             listener: {{template: /t}}\nenvoy: {{filterModule: /f}}\n\
             ads: {{listen: '127.0.0.1:1', certificateFile: /c, keyFile: /k, clientCaFile: /a, \
             allowedClientNames: [e]}}\n"
        );
        let main = MainConfig::from_yaml(&main).unwrap();
        let ControlPlanes::Many(directory) = main.control_planes else { panic!("one") };
        let (files, read) = (Files::default(), Read::new());
        Self { _named: named, root, directory, files, read }
    }

    fn text(&self, server_name: &str) -> String {
        let root = &self.root;
        format!(
            "serverNames: [{server_name}]\npeers: {{static: [{{name: a, address: '10.0.0.1:1'}}]}}\n\
             peerTls: {{caFile: {root}/ca}}\ncredentials: {{tokenFile: {root}/token}}\n"
        )
    }

    fn write(&mut self, name: &str, text: String) {
        self.read.insert(name.to_owned(), Ok(text));
    }

    fn remove(&mut self, name: &str) {
        self.read.remove(name);
    }

    /// Looks at the files. Returns the news in a few words.
    fn look(&mut self) -> Vec<String> {
        let news = self.files.take(self.read.clone(), &self.directory, false).unwrap();
        let word = |news| match news {
            News::Added { name, .. } => format!("{name} added"),
            News::Changed { name, .. } => format!("{name} changed"),
            News::Refused { name, .. } => format!("{name} refused"),
            News::Removed { name } => format!("{name} removed"),
        };
        news.into_iter().map(word).collect()
    }

    /// The server names in use, by control plane.
    fn names(&self) -> Vec<(String, String)> {
        let known = self.files.known();
        let of = |(name, config): (&ClusterPrefix, &Arc<Config>)| {
            let names = config.server_names.iter().flatten().map(ToString::to_string);
            (name.to_string(), names.collect::<Vec<_>>().join(","))
        };
        known.configs.iter().map(of).collect()
    }

    fn faults(&self, name: &str) -> String {
        self.files.known().faults.get(name).map(|faults| faults.join("\n")).unwrap_or_default()
    }
}

fn pair(name: &str, server_name: &str) -> (String, String) {
    (name.to_owned(), server_name.to_owned())
}

#[test]
fn files_come_change_and_go_and_each_is_told_once() {
    let mut world = World::new();
    assert!(world.look().is_empty());
    world.write("a", world.text("a.x"));
    world.write("b", world.text("b.x"));
    assert_eq!(world.look(), ["a added", "b added"]);
    assert!(world.look().is_empty());
    world.write("b", world.text("c.x"));
    assert_eq!(world.look(), ["b changed"]);
    // Another text of the same meaning.
    world.write("b", world.text("c.x") + "# comment\n");
    assert!(world.look().is_empty());
    world.remove("a");
    assert_eq!(world.look(), ["a removed"]);
    assert_eq!(world.names(), [pair("b", "c.x")]);
}

#[test]
fn a_faulty_file_keeps_the_last_good_configuration_and_says_once_what_is_wrong() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.write("b", world.text("b.x"));
    world.look();
    world.write("b", world.text("b.x") + "color: blue\npolling: {interval: 1h}\n");
    assert_eq!(world.look(), ["b refused"]);
    assert!(world.look().is_empty());
    assert_eq!(world.names(), [pair("a", "a.x"), pair("b", "b.x")]);
    let faults = world.faults("b");
    assert!(faults.contains("polling.interval: ") && faults.contains("color: "), "{faults}");
    world.read.insert("b".to_owned(), Err("cannot be read: it is locked".to_owned()));
    assert_eq!(world.look(), ["b refused"]);
    assert_eq!(world.names().len(), 2);
    world.write("b", world.text("b.x"));
    assert_eq!(world.look(), ["b changed"]);
    assert_eq!(world.faults("b"), "");
}

#[test]
fn a_file_whose_named_files_arrive_after_it_is_used_then() {
    let mut world = World::new();
    world.write("a", world.text("a.x").replace("/token", "/late"));
    assert_eq!(world.look(), ["a refused"]);
    assert!(world.faults("a").starts_with("credentials.tokenFile: "), "{}", world.faults("a"));
    std::fs::write(format!("{}/late", world.root), "t").unwrap();
    assert_eq!(world.look(), ["a added"]);
}

#[test]
fn a_content_that_was_seen_is_not_parsed_again() {
    let mut world = World::new();
    world.write("a", world.text("a.x").replace("/token", "/late"));
    assert_eq!(world.look(), ["a refused"]);
    let before = world.directory.filter_module.clone();
    world.directory.filter_module = "/next.wasm".into();
    std::fs::write(format!("{}/late", world.root), "t").unwrap();
    assert_eq!(world.look(), ["a added"]);
    let known = world.files.known();
    assert_eq!(known.configs.first_key_value().unwrap().1.envoy.filter_module, before);
}

#[test]
fn everything_that_is_in_the_way_of_a_file_is_told_at_once() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.write("b", world.text("a.x").replace("/token", "/late"));
    assert_eq!(world.look(), ["a added", "b refused"]);
    let faults = world.faults("b");
    assert!(faults.contains("credentials.tokenFile: ") && faults.contains("serverNames[0]: "));
    // A name goes from one to another in one look.
    world.write("a", world.text("b.x"));
    world.write("b", world.text("a.x"));
    assert_eq!(world.look(), ["a changed", "b added"]);
}

#[test]
fn a_server_name_belongs_to_the_control_plane_that_runs_and_a_new_one_to_the_first() {
    let mut world = World::new();
    world.write("b", world.text("x.x"));
    world.write("c", world.text("x.x"));
    assert_eq!(world.look(), ["b added", "c refused"]);
    let expected = "serverNames[0]: \"x.x\" already belongs to the control plane b";
    assert_eq!(world.faults("c"), expected);
    world.write("a", world.text("x.x"));
    assert_eq!(world.look(), ["a refused"]);
    assert_eq!(world.names(), [pair("b", "x.x")]);
    // Who waits gets it when it is free, and the others wait for another one.
    world.remove("b");
    assert_eq!(world.look(), ["b removed", "a added", "c refused"]);
    assert_eq!(world.names(), [pair("a", "x.x")]);
    world.write("c", world.text("c.x"));
    assert_eq!(world.look(), ["c added"]);
}

#[test]
fn control_planes_exchange_server_names_in_one_look() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(name, world.text(&format!("{name}.x")));
    }
    world.look();
    world.write("a", world.text("b.x"));
    world.write("b", world.text("a.x"));
    assert_eq!(world.look(), ["a changed", "b changed"]);
    assert_eq!(world.names(), [pair("a", "b.x"), pair("b", "a.x"), pair("c", "c.x")]);
    assert!(world.look().is_empty());
    // Around, and against the order of the names.
    for (name, next) in [("a", "a.x"), ("b", "c.x"), ("c", "b.x")] {
        world.write(name, world.text(next));
    }
    assert_eq!(world.look(), ["a changed", "b changed", "c changed"]);
    assert_eq!(world.names(), [pair("a", "a.x"), pair("b", "c.x"), pair("c", "b.x")]);
    // Owners are those of the last exchange.
    world.write("d", world.text("c.x"));
    assert_eq!(world.look(), ["d refused"]);
    let expected = "serverNames[0]: \"c.x\" already belongs to the control plane b";
    assert_eq!(world.faults("d"), expected);
}

#[test]
fn an_exchange_waits_for_a_file_that_is_faulty() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.write("b", world.text("b.x"));
    world.look();
    world.write("a", world.text("b.x"));
    world.write("b", world.text("a.x") + "color: blue\n");
    assert_eq!(world.look(), ["a refused", "b refused"]);
    assert!(world.faults("a").contains("\"b.x\" already belongs to the control plane b"));
    assert_eq!(world.names(), [pair("a", "a.x"), pair("b", "b.x")]);
    // So is one that names a missing file.
    world.write("b", world.text("a.x").replace("/token", "/late"));
    assert_eq!(world.look(), ["b refused"]);
    assert_eq!(world.names(), [pair("a", "a.x"), pair("b", "b.x")]);
    std::fs::write(format!("{}/late", world.root), "t").unwrap();
    assert_eq!(world.look(), ["a changed", "b changed"]);
    assert_eq!(world.names(), [pair("a", "b.x"), pair("b", "a.x")]);
}

#[test]
fn a_name_that_two_changed_files_have_keeps_its_owner_and_holds_up_no_exchange() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.write(name, world.text(&format!("{name}.x")));
    }
    world.look();
    // c wants a name that d keeps, and one of the two that a and b exchange.
    world.write("a", world.text("b.x"));
    world.write("b", world.text("a.x"));
    world.write("c", world.text("a.x, d.x"));
    world.write("d", world.text("d.x, e.x"));
    assert_eq!(world.look(), ["a changed", "b changed", "c refused", "d changed"]);
    let faults = world.faults("c");
    assert!(faults.contains("\"a.x\" already belongs to the control plane b"), "{faults}");
    assert!(faults.contains("\"d.x\" already belongs to the control plane d"), "{faults}");
    assert_eq!(world.names()[2], pair("c", "c.x"));
}

#[test]
fn who_lost_a_name_to_a_file_that_is_refused_gets_it() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.write("b", world.text("b.x"));
    world.look();
    // a would get n.x. Then b keeps b.x, so a is refused, and n.x is free for b.
    world.write("a", world.text("n.x, b.x"));
    world.write("b", world.text("n.x"));
    assert_eq!(world.look(), ["a refused", "b changed"]);
    assert_eq!(world.names(), [pair("a", "a.x"), pair("b", "n.x")]);
    assert!(world.faults("a").contains("\"n.x\" already belongs to the control plane b"));
    assert!(world.look().is_empty());
}

#[test]
fn a_file_whose_name_is_not_a_valid_cluster_prefix_is_refused() {
    let mut world = World::new();
    let long = "x".repeat(41);
    for name in ["A", "a_b", "a.b", "", &long] {
        world.write(name, world.text("a.x"));
    }
    world.look();
    assert!(world.names().is_empty());
    assert!(world.faults("a_b").starts_with("the file's name must be 1 to 40 characters"));
    assert_eq!(world.files.known().faults.len(), 5);
}

#[test]
fn a_directory_without_files_changes_nothing_unless_there_never_was_one() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.look();
    let taken = world.files.take(Read::new(), &world.directory, false);
    assert!(taken.unwrap_err().ends_with("has no files any more"));
    assert_eq!(world.names(), [pair("a", "a.x")]);
}

#[test]
fn what_all_have_in_common_changes_every_control_plane() {
    let mut world = World::new();
    world.write("a", world.text("a.x"));
    world.look();
    world.directory.filter_module = "/next.wasm".into();
    let news = world.files.take(world.read.clone(), &world.directory, true).unwrap();
    assert!(matches!(&news[..], [News::Changed { .. }]), "{news:?}");
}

#[test]
fn a_start_goes_on_with_what_an_earlier_run_used_whatever_the_files_say_now() {
    let mut world = World::new();
    world.files.restore("a", &world.text("a.x"), &world.directory);
    world.files.restore("z", &world.text("z.x"), &world.directory);
    world.files.restore("y", "faulty by now", &world.directory);
    world.write("a", "faulty".to_owned());
    world.write("b", world.text("a.x"));
    world.write("c", world.text("z.x"));
    world.write("z", world.text("z.x"));
    assert_eq!(world.look(), ["a refused", "b refused", "c refused"]);
    assert_eq!(world.names(), [pair("a", "a.x"), pair("z", "z.x")]);
    assert!(world.files.is_used("a") && !world.files.is_used("b") && !world.files.is_used("y"));
    assert!(!world.faults("a").is_empty());
}
