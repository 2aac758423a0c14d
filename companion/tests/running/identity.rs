//! Rotated certificates, and the headers of the front proxy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::companion::Companion;
use crate::peers::{Authority, Peer};

const TYPES: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];
const TWIN: &str = "kube-apiserver__front-proxy";

/// With a front proxy and a listener that verifies its clients.
fn prepare(authority: &Authority, peers: &[&Peer]) -> Companion {
    let companion = Companion::prepare(authority, peers, "");
    issue(&companion, authority, "front-proxy");
    issue(&companion, authority, "listener");
    fs::write(companion.path("clients.pem"), Authority::new().pem).unwrap();
    companion.write_config(|config| with_identity(&companion, config));
    companion
}

fn with_identity(companion: &Companion, config: String) -> String {
    let root = companion.directory.path().display();
    let pair =
        |name: &str| format!("certificateFile: {root}/{name}.crt, keyFile: {root}/{name}.key");
    let (listener, front_proxy) = (pair("listener"), pair("front-proxy"));
    config
        + &format!(
            "listenerTls: {{{listener}, clientCaFile: {root}/clients.pem}}\n\
             frontProxy: {{{front_proxy}}}\n"
        )
}

fn issue(companion: &Companion, authority: &Authority, name: &str) {
    let (certificate, key) = authority.issue(name);
    fs::write(companion.path(&format!("{name}.crt")), certificate).unwrap();
    fs::write(companion.path(&format!("{name}.key")), key).unwrap();
}

/// Replaces a file in one step: nobody reads a part of it.
fn replace(companion: &Companion, name: &str, content: &str) {
    fs::write(companion.path("new"), content).unwrap();
    fs::rename(companion.path("new"), companion.path(name)).unwrap();
}

/// The secret that the twin presents, which must be there.
fn presented(companion: &Companion) -> String {
    let clusters = companion.published("cds.json");
    let mut clusters = clusters["resources"].as_array().unwrap().iter();
    let twin = clusters.find(|cluster| cluster["name"] == TWIN).expect("a twin");
    let tls = &twin["transport_socket"]["typed_config"]["common_tls_context"];
    let name = tls["tls_certificate_sds_secret_configs"][0]["name"].as_str().unwrap();
    assert_eq!(secret(companion, name)["name"], name);
    name.to_owned()
}

fn secret(companion: &Companion, name: &str) -> Value {
    companion.published(&format!("sds/{name}.json"))["resources"][0].clone()
}

fn metric(companion: &Companion, line: &str) -> bool {
    companion.get("/metrics").is_some_and(|(_, text)| text.lines().any(|found| found == line))
}

fn generation(companion: &Companion) -> u64 {
    companion.map().unwrap().generation
}

#[test]
fn a_rotated_front_proxy_certificate_is_used_at_once_without_a_new_map() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, TYPES), Peer::start(&authority, MORE));
    let mut companion = prepare(&authority, &[&a, &b]);
    companion.spawn();
    companion.wait_until_ready();
    let (before, map) = (presented(&companion), generation(&companion));
    assert!(companion.map().unwrap().identity.front_proxy);
    let certificate = fs::read_to_string(companion.path("front-proxy.crt")).unwrap();
    let published = &secret(&companion, &before)["tls_certificate"];
    assert_eq!(published["certificate_chain"]["inline_string"], certificate);
    issue(&companion, &authority, "front-proxy");
    companion.eventually("it is published", || presented(&companion) != before);
    assert_eq!(generation(&companion), map);
    let certificate = fs::read_to_string(companion.path("front-proxy.crt")).unwrap();
    let published = &secret(&companion, &presented(&companion))["tls_certificate"];
    assert_eq!(published["certificate_chain"]["inline_string"], certificate);
    assert_ne!(secret(&companion, &before), Value::Null, "an Envoy may be about to read it");
    for file in fs::read_dir(companion.path("envoy/sds")).unwrap().map(Result::unwrap) {
        let has_key = fs::read_to_string(file.path()).unwrap().contains("PRIVATE KEY");
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert!(!has_key || mode == 0o600, "{}: {mode:o}", file.path().display());
    }
}

#[test]
fn a_certificate_without_its_key_does_not_replace_the_published_one() {
    let authority = Authority::new();
    let a = Peer::start(&authority, TYPES);
    let mut companion = prepare(&authority, &[&a]);
    companion.spawn();
    companion.wait_until_ready();
    let (front_proxy, listener) = (presented(&companion), secret(&companion, "listener"));
    let (next, next_key) = authority.issue("next");
    for name in ["front-proxy", "listener"] {
        replace(&companion, &format!("{name}.crt"), &next);
    }
    let errors = "secret_errors_total{secret=\"listener\"}";
    companion.eventually("it was seen twice", || companion.metric(errors) >= 2);
    assert_eq!(
        companion.log().matches("\"secret\":\"listener\",\"error\"").count(),
        1,
        "{}",
        companion.log()
    );
    assert_eq!(presented(&companion), front_proxy);
    assert_eq!(secret(&companion, "listener"), listener);
    for name in ["front-proxy", "listener"] {
        fs::write(companion.path(&format!("{name}.key")), &next_key).unwrap();
    }
    companion.eventually("the pairs are whole", || {
        presented(&companion) != front_proxy && secret(&companion, "listener") != listener
    });
}

#[test]
fn a_companion_killed_during_a_rotation_leaves_every_secret_that_a_cluster_names() {
    let authority = Authority::new();
    let a = Peer::start(&authority, TYPES);
    let mut companion = prepare(&authority, &[&a]);
    companion.spawn();
    companion.wait_until_ready();
    for round in 0..10_u64 {
        issue(&companion, &authority, "front-proxy");
        // Each round a little later: before, in and after the push.
        let until =
            Instant::now() + Duration::from_millis(if round < 5 { 20 } else { 330 } * round);
        companion.eventually("some time passed", || Instant::now() >= until);
        companion.kill();
        presented(&companion);
        companion.spawn();
    }
    companion.wait_until_ready();
    let newest = fs::read_to_string(companion.path("front-proxy.crt")).unwrap();
    companion.eventually("the newest is published", || {
        let published = secret(&companion, &presented(&companion));
        published["tls_certificate"]["certificate_chain"]["inline_string"] == newest
    });
}

#[test]
fn a_removed_client_authority_is_removed_from_envoy_at_once() {
    let (authority, next) = (Authority::new(), Authority::new());
    let a = Peer::start(&authority, TYPES);
    let mut companion = prepare(&authority, &[&a]);
    companion.spawn();
    companion.wait_until_ready();
    let ca = || {
        secret(&companion, "client-ca")["validation_context"]["trusted_ca"]["inline_string"].clone()
    };
    assert_eq!(ca(), fs::read_to_string(companion.path("clients.pem")).unwrap());
    replace(&companion, "clients.pem", &next.pem);
    companion.eventually("the next one alone is there", || ca() == next.pem);
    // One that signed the front proxy's certificate is not taken.
    replace(&companion, "clients.pem", &authority.pem);
    let errors = "secret_errors_total{secret=\"client_ca\"}";
    companion.eventually("the error is counted", || companion.metric(errors) > 0);
    assert_eq!(ca(), next.pem);
}

#[test]
fn the_companion_does_not_start_with_a_broken_key_pair() {
    let authority = Authority::new();
    let a = Peer::start(&authority, TYPES);
    let companion = prepare(&authority, &[&a]);
    assert!(companion.check_config().status.success());
    let (_, key) = authority.issue("another");
    fs::write(companion.path("front-proxy.key"), key).unwrap();
    fs::remove_file(companion.path("listener.crt")).unwrap();
    for output in [companion.check_config(), companion.command("run").output().unwrap()] {
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("frontProxy.keyFile: "), "{text}");
        assert!(text.contains("listenerTls.certificateFile: "), "{text}");
    }
}

#[test]
fn a_front_proxy_can_be_configured_while_the_companion_runs() {
    let authority = Authority::new();
    let a = Peer::start(&authority, TYPES);
    let mut companion = prepare(&authority, &[&a]);
    companion.write_config(|config| config);
    companion.spawn();
    companion.wait_until_ready();
    assert!(!companion.map().unwrap().identity.front_proxy);
    assert!(!companion.published("cds.json").to_string().contains(TWIN));
    companion.write_config(|config| with_identity(&companion, config));
    companion.eventually("it is there", || companion.map().unwrap().identity.front_proxy);
    presented(&companion);
    companion.write_config(|config| config);
    companion.eventually("it is gone", || !companion.map().unwrap().identity.front_proxy);
    assert_ne!(companion.published(&format!("eds/{TWIN}.json")), Value::Null);
}

#[test]
fn the_names_of_the_headers_come_from_the_cluster() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, TYPES), Peer::start(&authority, TYPES));
    for peer in [&a, &b] {
        peer.change(|behavior| {
            behavior.config_map = Ok(json!({
                "requestheader-username-headers": r#"["X-Forwarded-User"]"#,
                "requestheader-group-headers": r#"["X-Remote-Group"]"#,
                "requestheader-uid-headers": r#"["X-Remote-Uid"]"#,
                "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
            }));
        });
    }
    let mut companion = prepare(&authority, &[&a, &b]);
    companion.spawn();
    companion.wait_until_ready();
    // In the first map, for it waits for them.
    let names = |companion: &Companion| companion.map().unwrap().identity.username_headers.clone();
    assert_eq!(names(&companion), ["x-forwarded-user", "x-remote-user"]);
    assert_eq!(companion.map().unwrap().identity.uid_headers, ["x-remote-uid"]);
    let source = "mixed_version_companion_identity_header_names{source=\"configmap\"} 1";
    assert!(metric(&companion, source));
    let (_, shown) = companion.get("/v1/map").unwrap();
    assert!(shown.contains("x-forwarded-user"), "{shown}");
    // They are remembered.
    companion.kill();
    for peer in [&a, &b] {
        peer.change(|behavior| behavior.config_map = Err(StatusCode::NOT_FOUND));
    }
    companion.spawn();
    companion.wait_until_ready();
    assert_eq!(names(&companion), ["x-forwarded-user", "x-remote-user"]);
}

#[test]
fn without_permission_the_configured_names_are_used() {
    let authority = Authority::new();
    let unusable = json!({
        "requestheader-username-headers": r#"["Authorization"]"#,
        "requestheader-group-headers": r#"["X-Other-Group"]"#,
    });
    for answer in [Err(StatusCode::FORBIDDEN), Err(StatusCode::NOT_FOUND), Ok(unusable)] {
        let a = Peer::start(&authority, TYPES);
        a.change(|behavior| behavior.config_map = answer);
        let mut companion = prepare(&authority, &[&a]);
        companion.write_config(|config| {
            with_identity(&companion, config)
                + "requestHeaders: {usernameHeaders: [X-Custom-User], groupHeaders: [X-Custom-Group]}\n"
        });
        companion.spawn();
        companion.wait_until_ready();
        let map = companion.map().unwrap();
        assert_eq!(map.identity.username_headers, ["x-custom-user"]);
        assert_eq!(map.identity.group_headers, ["x-custom-group"]);
        let source = "mixed_version_companion_identity_header_names{source=\"configuration\"} 1";
        assert!(metric(&companion, source));
        let warning = "cannot read names of the identity headers";
        assert_eq!(companion.log().matches(warning).count(), 1, "{}", companion.log());
    }
}
