//! Many control planes: added, changed, broken and removed while the companion runs, and what an
//! Envoy is sent of each.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use pki::ports::free_port;
use serde_json::Value;

use crate::ads_client::{AdsClient, CLUSTERS, FILTERS, LISTENERS, SECRETS};
use crate::companion::{Companion, within};
use crate::peers::{Authority, Peer};

/// Twice what is promised for one that is added or removed, because other tests keep the machine busy.
const LIMIT: Duration = Duration::from_secs(6);

struct World {
    authority: Authority,
    companion: Companion,
    ads: SocketAddr,
}

impl World {
    /// A companion whose directory is still empty, not started.
    fn new() -> Self {
        let authority = Authority::new();
        let companion = Companion::prepare(&authority, &[], "");
        let ads = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let (certificate, key) = authority.issue("companion");
        let template = include_str!("../../../envoy-config/shared-ingress/listener.yaml");
        for (name, content) in
            [("ads.crt", &*certificate), ("ads.key", &key), ("listener.yaml", template)]
        {
            fs::write(companion.path(name), content).unwrap();
        }
        fs::create_dir(companion.path("control-planes")).unwrap();
        let root = companion.directory.path().display();
        let config = format!(
            "listen: {}\nstateDirectory: {root}/state\nenvoy: {{filterModule: /filter.wasm}}\n\
             controlPlanes: {{directory: {root}/control-planes}}\n\
             listener: {{template: {root}/listener.yaml}}\n\
             ads: {{listen: '{ads}', certificateFile: {root}/ads.crt, keyFile: {root}/ads.key, \
             clientCaFile: {root}/ca.pem, allowedClientNames: [envoy]}}\n",
            companion.listen
        );
        fs::write(companion.path("config.yaml"), config).unwrap();
        Self { authority, companion, ads }
    }

    /// A control plane's file with these peers.
    fn file(&self, server_name: &str, peers: &[&Peer]) -> String {
        let root = self.companion.directory.path().display();
        let peer =
            |(at, peer): (usize, &&Peer)| format!("{{name: cp-{at}, address: '{}'}}", peer.address);
        let peers: Vec<_> = peers.iter().enumerate().map(peer).collect();
        format!(
            "serverNames: [{server_name}]\npeers: {{static: [{}]}}\n\
             peerTls: {{caFile: {root}/ca.pem}}\ncredentials: {{tokenFile: {root}/token}}\n",
            peers.join(", ")
        )
    }

    fn write(&self, name: &str, content: &str) {
        let path = |suffix| self.companion.path(&format!("control-planes/{name}.yaml{suffix}"));
        fs::write(path(".new"), content).unwrap();
        fs::rename(path(".new"), path("")).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.companion.path(&format!("control-planes/{name}.yaml"))).unwrap();
    }

    fn start(&mut self) {
        self.companion.spawn();
        self.companion.wait_until_ready();
    }

    fn connect(&self) -> AdsClient {
        AdsClient::connect(&self.authority, self.ads)
    }

    /// What `/v1/control-planes` shows of one; null if it shows none.
    fn shown(&self, name: &str) -> Value {
        let (_, body) = self.companion.get("/v1/control-planes").unwrap();
        let all: Vec<Value> = serde_json::from_str(&body).unwrap();
        all.into_iter().find(|one| one["name"] == name).unwrap_or_default()
    }

    fn soon(&self, what: &str, condition: impl FnMut() -> bool) {
        let what = std::fmt::from_fn(move |f| write!(f, "{what}\n{}", self.companion.log()));
        within(LIMIT, what, condition);
    }
}

fn filter(name: &str) -> String {
    format!("mixed-version-proxy/{name}")
}

/// Whether the client has a map, a chain and clusters of a control plane.
fn has(client: &AdsClient, name: &str) -> bool {
    let held = client.held();
    held.names(FILTERS).contains(&&*filter(name))
        && held
            .names(LISTENERS)
            .iter()
            .any(|listener| held.says(LISTENERS, listener, &format!("{name}.example.com")))
        && held.names(CLUSTERS).contains(&name)
        && held.names(SECRETS).contains(&&*format!("{name}/client-ca"))
}

#[test]
fn control_planes_come_change_and_go_and_nothing_of_another_is_sent() {
    let mut world = World::new();
    let [one, two, three] =
        ["/v1/pods", "/v1/nodes", "/v1/secrets"].map(|all| Peer::start(&world.authority, &[all]));
    world.write("blue", &world.file("blue.example.com", &[&one]));
    world.start();
    let client = world.connect();
    world.companion.eventually("the client has the first", || has(&client, "blue"));

    client.forget_changes();
    world.write("green", &world.file("green.example.com", &[&two]));
    world.soon("the client has the second", || has(&client, "green"));
    let held = client.held();
    let of_first = |name: &&String| name.starts_with("blue") || name.contains("/blue");
    assert_eq!(held.changes.iter().find(of_first), None, "{:?}", held.changes);
    assert!(
        held.says(FILTERS, &filter("blue"), "pods")
            && !held.says(FILTERS, &filter("blue"), "nodes")
    );
    assert!(held.says(FILTERS, &filter("green"), "nodes"));

    // A change of the second one.
    client.forget_changes();
    two.change(|behavior| behavior.types.push("/v1/services".to_owned()));
    world.soon("the map changes", || client.held().says(FILTERS, &filter("green"), "services"));
    let held = client.held();
    assert!(held.changes.iter().all(|name| name.contains("green")), "{:?}", held.changes);
    world.write("green", &world.file("green.example.com", &[&two, &three]));
    world.soon("the map has the new peer", || {
        client.held().says(FILTERS, &filter("green"), "secrets")
    });

    client.forget_changes();
    world.remove("green");
    world.soon("the client has nothing of the second", || {
        // Envoy drops endpoints and secrets by itself.
        let held = client.held();
        let named = |kind| held.names(kind).iter().any(|name| name.contains("green"));
        !named(CLUSTERS) && !named(FILTERS) && world.shown("green").is_null()
    });
    assert!(has(&client, "blue"));
    let held = client.held();
    assert_eq!(held.changes.iter().find(of_first), None, "{:?}", held.changes);
    let chain = |held: &crate::ads_client::Held| {
        held.names(LISTENERS).iter().any(|name| held.says(LISTENERS, name, "green.example.com"))
    };
    assert!(!chain(&held));
    let (_, metrics) = world.companion.get("/metrics").unwrap();
    assert!(metrics.contains("control_plane=\"blue\"") && !metrics.contains("green"), "{metrics}");
}

#[test]
fn what_is_wrong_with_one_file_is_said_once_and_changes_nothing() {
    let mut world = World::new();
    let peers = ["/v1/pods", "/v1/nodes"].map(|all| Peer::start(&world.authority, &[all]));
    world.write("blue", &world.file("blue.example.com", &[&peers[0]]));
    world.write("green", &world.file("green.example.com", &[&peers[1]]));
    world.start();
    let client = world.connect();
    let has_both = |client: &AdsClient| has(client, "blue") && has(client, "green");
    world.companion.eventually("the client has both", || has_both(&client));

    client.forget_changes();
    world.write("green", "serverNames: 7\n");
    world.write("pink", &world.file("blue.example.com", &[&peers[1]]));
    world.soon("both are refused", || {
        let faults = |name| world.shown(name)["faults"].to_string();
        faults("green").contains("serverNames: must be a list")
            && faults("pink").contains("already belongs to the control plane blue")
    });
    assert_eq!(world.shown("green")["state"], "serving");
    assert_eq!(world.shown("pink")["state"], "refused");
    world.soon("the metric says so", || world.companion.metric("control_plane_files_refused") == 2);
    assert_eq!(world.companion.log().matches("serverNames: must be a list").count(), 1);
    assert!(client.held().changes.is_empty(), "{:?}", client.held().changes);
    let checked = world.companion.check_config();
    let faults = String::from_utf8(checked.stderr).unwrap();
    assert!(!checked.status.success());
    assert!(
        faults.contains("green.yaml: serverNames: ") && faults.contains("pink.yaml: "),
        "{faults}"
    );

    // The last good one stays over a restart, and the first keeps its name.
    world.companion.kill();
    world.start();
    let client = world.connect();
    world.companion.eventually("the client has both", || has_both(&client));
    assert_eq!(world.shown("pink")["state"], "refused");
    world.write("pink", &world.file("pink.example.com", &[&peers[1]]));
    world.soon("the third one serves", || has(&client, "pink"));
    assert!(world.shown("pink")["faults"].is_null());
}

#[test]
fn each_control_plane_is_shown_and_logged_under_its_own_name() {
    let mut world = World::new();
    let peer = Peer::start(&world.authority, &["/v1/pods"]);
    world.write("blue", &world.file("blue.example.com", &[&peer]));
    // Nobody listens there.
    let nobody = world.file("green.example.com", &[&peer]);
    let nobody = nobody.replace(&peer.address.to_string(), "127.0.0.1:1");
    world.write("green", &nobody);
    world.start();
    let get = |path: &str| world.companion.get(path).unwrap();
    assert_eq!(get("/v1/map").0, 404);
    assert_eq!(get("/v1/control-planes/blue/peers").0, 200);
    assert!(get("/v1/control-planes/blue/map").1.contains("pods"));
    assert!(get("/v1/control-planes/blue/sources").1.contains("static"));
    assert_eq!(get("/v1/control-planes/red/peers").0, 404);
    assert_eq!(get("/v1/events").0, 404);
    world.soon("the map is in the list of changes", || {
        get("/v1/control-planes/blue/events").1.contains("mapPublished")
    });
    assert_eq!(get("/v1/control-planes/red/events").0, 404);
    let blue = world.shown("blue");
    assert_eq!((&blue["state"], &blue["peersInRotation"]), (&"serving".into(), &1.into()));
    assert_eq!(blue["serverNames"], serde_json::json!(["blue.example.com"]));
    let green = world.shown("green");
    assert_eq!(green["peersInRotation"], 0);
    let metrics = get("/metrics").1;
    let state = |name: &str, state: &str| {
        format!("peer_state{{control_plane=\"{name}\",peer=\"cp-0\",state=\"{state}\"}} 1\n")
    };
    assert!(metrics.contains(&state("blue", "serving")), "{metrics}");
    assert!(metrics.contains(&state("green", "unreachable")), "{metrics}");
    for line in world.companion.log().lines().filter(|line| line.contains("\"peer\":")) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            ["blue", "green"].contains(&line["span"]["control_plane"].as_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn a_directory_that_is_lost_changes_nothing_and_a_companion_does_not_start_without_it() {
    let mut world = World::new();
    let peer = Peer::start(&world.authority, &["/v1/pods"]);
    world.write("blue", &world.file("blue.example.com", &[&peer]));
    world.start();
    let client = world.connect();
    world.companion.eventually("the client has it", || has(&client, "blue"));
    client.forget_changes();
    let [here, away] = ["control-planes", "away"].map(|name| world.companion.path(name));
    fs::rename(&here, &away).unwrap();
    world.soon("the metric says so", || {
        world.companion.metric("control_plane_directory_readable") == 0
    });
    fs::create_dir(&here).unwrap();
    world.soon("the log says that it is empty", || {
        world.companion.log().contains("has no files any more")
    });
    assert!(client.held().changes.is_empty(), "{:?}", client.held().changes);
    assert_eq!(world.shown("blue")["state"], "serving");

    world.companion.kill();
    fs::remove_dir(&here).unwrap();
    let ended = world.companion.command("run").output().unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success());
    assert!(
        error.contains("controlPlanes.directory: ") && error.contains("cannot be read"),
        "{error}"
    );
}
