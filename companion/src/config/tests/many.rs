//! Many control planes: the main file, and the file of each.

use std::time::Duration;

use super::*;

const MAIN: &str = "
stateDirectory: /s
controlPlanes: {directory: /etc/x/control-planes}
listener: {template: /etc/x/listener.yaml}
envoy: {filterModule: /f.wasm, clusterRemovalDelay: 5s}
ads: {listen: '0.0.0.0:9904', certificateFile: /c, keyFile: /k, clientCaFile: /clients, \
      allowedClientNames: [envoy]}
";

const ONE: &str = "
serverNames: [a.example.com, api.a.example.com]
peers: {static: [{name: cp-1, address: '10.0.0.1:6443'}]}
peerTls: {caFile: /a/ca}
credentials: {tokenFile: /a/token}
";

fn main_faults(yaml: &str) -> Vec<String> {
    let faults = MainConfig::from_yaml(yaml).err();
    faults.iter().flat_map(|faults| faults.iter().map(ToString::to_string)).collect()
}

fn directory() -> ControlPlaneDirectory {
    match MainConfig::from_yaml(MAIN).unwrap().control_planes {
        ControlPlanes::Many(directory) => directory,
        ControlPlanes::One(_) => panic!("one"),
    }
}

fn read(yaml: &str) -> Result<Config, Faults> {
    directory().control_plane(&"a".parse().unwrap(), yaml)
}

fn faults(yaml: &str) -> Vec<String> {
    let faults = read(yaml).err();
    faults.iter().flat_map(|faults| faults.iter().map(ToString::to_string)).collect()
}

#[test]
fn a_control_plane_has_what_its_file_says_and_what_all_have_in_common() {
    let config = read(ONE).unwrap();
    assert_eq!(config.name().unwrap().to_string(), "a");
    let names: Vec<_> = config.server_names.iter().flatten().map(ServerName::as_str).collect();
    assert_eq!(names, ["a.example.com", "api.a.example.com"]);
    assert_eq!(config.state_directory, PathBuf::from("/s/a"));
    assert_eq!(config.envoy.filter_module, PathBuf::from("/f.wasm"));
    assert_eq!(config.envoy.cluster_removal_delay, Duration::from_secs(5));
    assert_eq!((&config.client_ca_file, config.has_front_proxy()), (&None, false));
    let secrets = "clientCaFile: /a/clients\nfrontProxySecret: /envoy/a/front-proxy.yaml\n";
    let config = read(&format!("{ONE}{secrets}polling: {{interval: 10s}}")).unwrap();
    assert_eq!(config.client_ca_file, Some("/a/clients".into()));
    assert_eq!(config.front_proxy_secret, Some("/envoy/a/front-proxy.yaml".into()));
    assert_eq!(config.polling.interval, Duration::from_secs(10));
}

#[test]
fn a_field_in_the_wrong_file_is_told_where_it_belongs() {
    let single = "peers: {}\npeerTls: {}\ncredentials: {}\npolling: {}\nforgetAfter: 1h\n\
                  answeringVersion: any\nmode: shadow\ndecisionHeaderGroups: []\nlocalPeer: 10.0.0.1:6443\nrequestHeaders: {}\nlistenerTls: {}\nfrontProxy: {}\n";
    let found = main_faults(&format!("{MAIN}{single}"));
    assert_eq!(found.len(), 12, "{found:#?}");
    assert_eq!(
        found.iter().filter(|fault| fault.ends_with("in controlPlanes.directory")).count(),
        10,
        "{found:#?}"
    );
    let envoy =
        MAIN.replace("filterModule: /f.wasm", "filterModule: /f, directory: /e, clusterPrefix: x");
    let places: Vec<_> = main_faults(&envoy);
    assert_eq!(places.len(), 2, "{places:#?}");
    assert!(places[0].starts_with("envoy.directory: must not be set with controlPlanes"));
    let secret = MAIN.replace("allowedClientNames", "frontProxySecret: /x, allowedClientNames");
    assert!(main_faults(&secret)[0].starts_with("ads.frontProxySecret: belongs in the file"));

    let of_main = "listen: x\nstateDirectory: /s\nenvoy: {}\nads: {}\ncontrolPlanes: {}\n\
                   listener: {}\nlistenerTls: {}\nfrontProxy: {}\n";
    let found = faults(&format!("{ONE}{of_main}"));
    assert_eq!(found.len(), 8, "{found:#?}");
    assert_eq!(found[0], "listen: belongs in the companion's main file");

    let of_many =
        "serverNames: [a]\nclientCaFile: /x\nfrontProxySecret: /x\nlistener: {template: /t}";
    let found = super::faults(&format!("{SOUND}{of_many}"));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("listener: requires controlPlanes"), "{found:#?}");
    assert!(found[1].starts_with("serverNames: belongs in a file"), "{found:#?}");
}

#[test]
fn many_control_planes_need_ads_and_a_template() {
    let (before, _) = MAIN.split_once("ads:").unwrap();
    let found = main_faults(before);
    assert_eq!(
        found,
        ["controlPlanes: requires ads: Envoys get many control planes over ADS only"]
    );
    let found = main_faults(&MAIN.replace("listener: {template: /etc/x/listener.yaml}", ""));
    assert_eq!(found, ["listener.template: is required with controlPlanes"]);
    let found = main_faults(&MAIN.replace("directory: /etc/x", "path: /etc/x"));
    let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(places, ["controlPlanes.directory", "controlPlanes.path"]);
}

#[test]
fn every_fault_of_a_control_plane_names_its_field() {
    let found = faults("serverNames: ['*.x', A, 10.0.0.1, a.]\nclientCaFile: /x\nmore: 1");
    let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    let expected = [
        "serverNames[0]",
        "serverNames[1]",
        "serverNames[2]",
        "serverNames[3]",
        "peers",
        "peerTls",
        "credentials",
        "clientCaFile",
        "more",
    ];
    assert_eq!(places, expected, "{found:#?}");
    assert_eq!(
        faults(&ONE.replace("[a.example.com, api.a.example.com]", "[]"))[0],
        "serverNames: must have at least one entry"
    );
    let twice = faults(&ONE.replace("api.a.example.com", "a.example.com"));
    assert_eq!(twice, ["serverNames[1]: \"a.example.com\" is already used by serverNames[0]"]);
}

#[test]
fn the_directory_cannot_change_while_running() {
    let main = MainConfig::from_yaml(MAIN).unwrap();
    let other = MAIN.replace("/etc/x/control-planes", "/other").replace("listener.yaml", "l.yaml");
    let faults = main.fixed_fields_changed(&MainConfig::from_yaml(&other).unwrap()).unwrap();
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["controlPlanes.directory"]);
    let one = MainConfig::from_yaml(SOUND).unwrap();
    assert!(main.fixed_fields_changed(&one).is_some());
}
