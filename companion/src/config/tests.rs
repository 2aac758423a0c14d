//! A whole configuration, and every fault that it can have.

mod many;
mod peers;

use std::time::Duration;

use discovery_map::Mode;

use super::*;
use crate::certificates::KeyPairFiles;

pub(super) const SOUND: &str = "
stateDirectory: /var/lib/x/state
peers:
  static:
  - {name: cp-1, address: '10.0.0.1:6443'}
  - {name: cp-2, address: '[fd00::2]:6443'}
peerTls: {caFile: /etc/x/ca.pem}
credentials: {tokenFile: /etc/x/token}
envoy: {directory: /var/lib/x/envoy, filterModule: /usr/lib/x/filter.wasm}
";

pub(super) fn faults(yaml: &str) -> Vec<String> {
    let faults = Config::from_yaml(yaml).expect_err("faults");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_short_configuration_has_all_defaults() {
    let main = MainConfig::from_yaml(SOUND).unwrap();
    assert_eq!(main.listen.to_string(), "127.0.0.1:9902");
    let config = Config::from_yaml(SOUND).unwrap();
    assert_eq!(config.peers.count(), Some(2));
    assert_eq!(config.peer_tls.server_name.to_string(), "kubernetes");
    assert_eq!(config.envoy.cluster_prefix.to_string(), "kube-apiserver");
    assert_eq!(config.envoy.cluster_removal_delay, Duration::from_secs(30));
    assert_eq!(config.polling.interval, Duration::from_secs(1));
    assert_eq!(config.polling.timeout, Duration::from_secs(3));
    assert_eq!(config.polling.max_response_bytes, 32 << 20);
    assert_eq!(config.forget_after, Duration::from_secs(3600));
    assert_eq!((config.listener_tls, config.front_proxy), (None, None));
    assert_eq!(config.request_headers, RequestHeaders::default());
}

#[test]
fn the_mode_is_one_of_three() {
    assert_eq!(Config::from_yaml(SOUND).unwrap().mode, Mode::Enforce);
    for mode in Mode::ALL {
        let config = Config::from_yaml(&format!("{SOUND}mode: {mode}\n")).unwrap();
        assert_eq!(config.mode, mode);
    }
    for wrong in ["Shadow", "off", ""] {
        let faults = faults(&format!("{SOUND}mode: '{wrong}'\n"));
        let expected = format!("mode: {wrong:?} must be one of enforce, reroute, shadow");
        assert_eq!(faults, [expected]);
    }
    for wrong in ["true", "[shadow]", "{shadow: 5%}"] {
        let faults = faults(&format!("{SOUND}mode: {wrong}\n"));
        assert!(faults.len() == 1 && faults[0].starts_with("mode: "), "{faults:?}");
    }
}

#[test]
fn the_skew_policy_is_kept_unless_the_configuration_says_otherwise() {
    let policy = |text: &str| Config::from_yaml(&format!("{SOUND}{text}")).unwrap().skew_policy;
    assert_eq!(policy(""), SkewPolicy::Keep);
    for known in [SkewPolicy::Keep, SkewPolicy::Ignore] {
        assert_eq!(policy(&format!("skewPolicy: {known}\n")), known);
    }
    let faults = faults(&format!("{SOUND}skewPolicy: some\n"));
    assert_eq!(faults, ["skewPolicy: \"some\" must be one of keep, ignore"]);
}

#[test]
fn a_group_that_no_certificate_can_have_is_refused() {
    let groups = |list: &str| format!("{SOUND}decisionHeaderGroups: {list}\n");
    let config = Config::from_yaml(&groups("['system:masters', 'my team']")).unwrap();
    assert_eq!(config.decision_header_groups, ["system:masters", "my team"]);
    assert!(Config::from_yaml(SOUND).unwrap().decision_header_groups.is_empty());
    let faults = faults(&groups("['', ' x', \"a\\nb\", ok]"));
    assert_eq!(faults.len(), 3, "{faults:?}");
    let rule = "must be a group, without control characters and without blanks around it";
    assert_eq!(faults[1], format!("decisionHeaderGroups[1]: \" x\" {rule}"));
}

#[test]
fn a_removed_field_is_refused_and_the_error_says_what_to_do() {
    for section in ["{enabled: false}", "{}", "null", "1"] {
        let faults = faults(&format!("{SOUND}strictNotFound: {section}\n"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("strictNotFound: was removed"), "{faults:?}");
    }
}

#[test]
fn the_local_peer_is_one_of_the_list() {
    let local = |address: &str| format!("{SOUND}localPeer: '{address}'\n");
    let config = Config::from_yaml(&local("[fd00::2]:6443")).unwrap();
    assert_eq!(config.local_peer.unwrap().to_string(), "[fd00::2]:6443");
    assert_eq!(
        faults(&local("10.0.0.3:6443")),
        ["localPeer: must be the address of an entry of peers.static"]
    );
}

#[test]
fn every_field_can_be_set() {
    let yaml = "
listen: '[::1]:9000'
metricsListen: '0.0.0.0:9006'
stateDirectory: /s
peers: {static: [{name: a, address: '1.2.3.4:1'}]}
peerTls: {caFile: /ca, serverName: kubernetes.default.svc}
credentials: {clientCertificate: {certificateFile: /c, keyFile: /k}}
envoy: {directory: /e, filterModule: /f, clusterPrefix: api, clusterRemovalDelay: 1m}
polling: {interval: 500ms, timeout: 2s, maxResponseBytes: 1048576}
forgetAfter: 10m
listenerTls: {certificateFile: /lc, keyFile: /lk, clientCaFile: /clients}
frontProxy: {certificateFile: /fc, keyFile: /fk}
requestHeaders:
  usernameHeaders: [X-User, X-Remote-User]
  groupHeaders: [x-group]
  uidHeaders: [X-Uid]
  extraHeaderPrefixes: []
";
    let config = Config::from_yaml(yaml).unwrap();
    assert_eq!(config.polling.interval, Duration::from_millis(500));
    assert_eq!(config.polling.max_response_bytes, 1 << 20);
    assert_eq!(config.forget_after, Duration::from_secs(600));
    let files = |pair: [&str; 2]| {
        let [certificate_file, key_file] = pair.map(PathBuf::from);
        KeyPairFiles { certificate_file, key_file }
    };
    assert_eq!(config.credentials, CredentialFiles::ClientCertificate(files(["/c", "/k"])));
    assert_eq!(config.listener_tls, Some(files(["/lc", "/lk"])));
    assert_eq!(config.client_ca_file, Some("/clients".into()));
    assert_eq!(config.front_proxy, Some(files(["/fc", "/fk"])));
    let headers = serde_json::to_value(&config.request_headers).unwrap();
    let expected = serde_json::json!({
        "usernameHeaders": ["x-user", "x-remote-user"],
        "groupHeaders": ["x-group"],
        "uidHeaders": ["x-uid"],
        "extraHeaderPrefixes": [],
    });
    assert_eq!(headers, expected);
}

#[test]
fn all_faults_come_at_once_each_with_its_place() {
    let found = faults(
        "
listen: 0.0.0.0:9902
stateDirectory: state
peer: []
peers:
  static:
  - {name: CP_1, address: 'cp-1:6443', weight: 2}
  - {name: a}
  - {name: a, address: '10.0.0.1:6443'}
  - {name: b, address: '10.0.0.1:6443'}
  - 7
peerTls: {serverName: 10.0.0.1}
credentials: {tokenFile: /t, clientCertificate: {keyFile: /k}}
envoy: [directory]
polling: {interval: 1h, timeout: soon, maxResponseBytes: -1}
listenerTls: {certificateFile: server.crt, clientCaFile: /ca, caFile: /ca}
requestHeaders:
  usernameHeaders: []
  groupHeaders: [x-group, 7, 'x:y']
  uidHeaders: Authorization
  extraHeaderPrefixes: [x]
",
    );
    let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    for place in [
        "listen",
        "stateDirectory",
        "peer",
        "peers.static[0].name",
        "peers.static[0].address",
        "peers.static[0].weight",
        "peers.static[1].address",
        "peers.static[2].name",
        "peers.static[3].address",
        "peers.static[4]",
        "peerTls.caFile",
        "peerTls.serverName",
        "credentials",
        "credentials.clientCertificate.certificateFile",
        "envoy",
        "polling.interval",
        "polling.timeout",
        "polling.maxResponseBytes",
        "listenerTls.certificateFile",
        "listenerTls.keyFile",
        "listenerTls.clientCaFile",
        "listenerTls.caFile",
        "requestHeaders.usernameHeaders",
        "requestHeaders.groupHeaders[1]",
        "requestHeaders.groupHeaders[2]",
        "requestHeaders.uidHeaders",
        "requestHeaders.extraHeaderPrefixes[0]",
    ] {
        assert!(places.contains(&place), "{place} is not in {found:#?}");
    }
    assert_eq!(places.len(), 27, "{found:#?}");
}

#[test]
fn a_prefix_that_covers_another_identity_header_is_refused() {
    let config = format!("{SOUND}requestHeaders: {{extraHeaderPrefixes: [X-Extra-, X-Remote-]}}\n");
    let found = faults(&config);
    assert_eq!(
        found,
        ["requestHeaders.extraHeaderPrefixes[1]: \"x-remote-\" must not be a prefix of \
          \"x-remote-user\", which is in another list; use a prefix such as \"x-remote-extra-\""]
    );
}

#[test]
fn an_empty_document_says_what_is_required() {
    for (yaml, problem) in
        [("", "must be a mapping, not nothing"), ("[]", "must be a mapping, not a list")]
    {
        assert_eq!(faults(yaml), [format!("document: {problem}")], "{yaml:?}");
    }
    let found = faults("{}");
    let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(places, ["stateDirectory", "peers", "peerTls", "credentials", "envoy"]);
}

#[test]
fn broken_yaml_is_a_fault_with_its_line() {
    let found = faults("peers: [\n  {name: a\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("document: ") && found[0].contains("line"), "{found:?}");
    let repeated = faults("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n");
    assert!(repeated[0].contains("listen"), "{repeated:?}");
}

#[test]
fn names_are_read_as_they_are_written() {
    for name in ["a", "cp-1", "0", &"x".repeat(63)] {
        assert_eq!(name.parse::<PeerName>().unwrap().to_string(), name);
    }
    for name in ["", "-a", "a-", "a.b", "a_b", "A", "ä", &"x".repeat(64)] {
        assert!(name.parse::<PeerName>().is_err(), "{name}");
    }
    let [longest, too_long] = [63, 64].map(|length| format!("{}.x", "x".repeat(length)));
    for name in ["kubernetes", "kubernetes.default.svc", &longest] {
        assert_eq!(name.parse::<ServerName>().unwrap().to_string(), name);
    }
    for name in ["", "1.2.3.4", "a..b", "*.x", "fd00::1", &too_long] {
        assert!(name.parse::<ServerName>().is_err(), "{name}");
    }
}

#[test]
fn files_that_are_missing_or_of_another_kind_are_faults() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("ca.pem"), "no certificate").unwrap();
    std::fs::write(path("token"), " \n").unwrap();
    let yaml =
        SOUND.replace("/etc/x/ca.pem", &path("ca.pem")).replace("/etc/x/token", &path("token"));
    let faults = Config::from_yaml(&yaml).unwrap().check_files().expect_err("faults");
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["peerTls.caFile", "credentials.tokenFile"]);
}

#[test]
fn a_client_ca_needs_a_front_proxy_and_says_why() {
    let listener = "listenerTls: {certificateFile: /c, keyFile: /k, clientCaFile: /ca}\n";
    let found = faults(&format!("{SOUND}{listener}"));
    let [fault] = &found[..] else { panic!("{found:?}") };
    assert!(fault.starts_with("listenerTls.clientCaFile: requires frontProxy"), "{fault}");
    let front_proxy = "frontProxy: {certificateFile: /c, keyFile: /k}\n";
    assert!(Config::from_yaml(&format!("{SOUND}{listener}{front_proxy}")).is_ok());
    assert!(Config::from_yaml(&format!("{SOUND}{front_proxy}")).is_ok());
}

#[test]
fn every_pair_is_checked_and_every_faulty_file_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    let pair = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((one_crt, one_key), (other_crt, other_key)) = (pair(), pair());
    for (name, content) in [
        ("ca", one_crt.as_str()),
        ("token", "secret"),
        ("one.crt", &one_crt),
        ("one.key", &one_key),
        ("other.key", &other_key),
        ("clients", &other_crt),
        ("empty", ""),
    ] {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let yaml = |listener: &str, front_proxy: &str, clients: &str| {
        SOUND.replace("/etc/x/ca.pem", &format!("{root}/ca")).replace("/etc/x", &root.to_string())
            + &format!(
                "listenerTls: {{certificateFile: {root}/one.crt, keyFile: {root}/{listener}, \
                 clientCaFile: {root}/{clients}}}\n\
                 frontProxy: {{certificateFile: {root}/one.crt, keyFile: {root}/{front_proxy}}}\n"
            )
    };
    let check = |yaml: String| Config::from_yaml(&yaml).unwrap().check_files();
    assert_eq!(check(yaml("one.key", "one.key", "clients")), Ok(()));
    let faults = check(yaml("one.key", "one.key", "ca")).expect_err("faults");
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["frontProxy.certificateFile"]);
    let faults = check(yaml("other.key", "missing", "empty")).expect_err("faults");
    let faults: Vec<_> = faults.iter().collect();
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["listenerTls.keyFile", "listenerTls.clientCaFile", "frontProxy.keyFile"]);
    assert!(faults[0].problem.contains("is not the key of"), "{:?}", faults[0]);
}

#[test]
fn places_of_files_cannot_change_while_running() {
    let config = MainConfig::from_yaml(SOUND).unwrap();
    let other = SOUND.replace("/var/lib/x/", "/elsewhere/").replace("cp-2", "cp-3");
    let next = MainConfig::from_yaml(&other).unwrap();
    let faults = config.fixed_fields_changed(&next).expect("faults");
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["stateDirectory", "envoy.directory"]);
    assert!(config.fixed_fields_changed(&config).is_none());
}
