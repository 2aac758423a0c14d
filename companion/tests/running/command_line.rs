//! The output of the command line.

use std::process::Command;

use pki::ports::free_port;

use crate::companion::Companion;
use crate::peers::{Authority, Peer};

#[test]
fn check_config_reports_every_fault() {
    let authority = Authority::new();
    let a = Peer::start(&authority, &["/v1/pods"]);
    let companion = Companion::prepare(&authority, &[&a], "");
    let sound = companion.check_config();
    assert!(sound.status.success(), "{sound:?}");
    companion.write_config(|config| {
        config.replace("name: a", "name: A").replace("listen: 127.", "listen: 10.") + "extra: 1\n"
    });
    let wrong = companion.check_config();
    assert_eq!(wrong.status.code(), Some(1));
    let text = String::from_utf8(wrong.stderr).unwrap();
    for place in ["listen: ", "peers.static[0].name: ", "extra: "] {
        assert!(text.contains(place), "{place} is not in {text}");
    }
    let run = companion.command("run").output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8(run.stderr).unwrap().contains("peers.static[0].name: "));
}

#[test]
fn check_config_warns_of_more_peers_than_envoy_makes_attempts() {
    let authority = Authority::new();
    let peers: Vec<_> = (0..10).map(|_| Peer::start(&authority, &["/v1/pods"])).collect();
    let output = |count: usize| {
        let peers: Vec<_> = peers.iter().take(count).collect();
        let output = Companion::prepare(&authority, &peers, "").check_config();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(output(9), "");
    assert!(output(10).starts_with("warning: 10 peers are more than the 9 attempts"));
}

#[test]
fn drain_says_which_envoy_does_not_answer() {
    let unused = std::net::SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let program = env!("CARGO_BIN_EXE_mixed-version-companion");
    let output = Command::new(program).args(["drain", "--admin", &unused.to_string()]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let begin = format!("POST http://{unused}/healthcheck/fail: ");
    assert!(error.starts_with(&begin) && error.contains("refused"), "{error}");
}

#[test]
fn help_and_version_are_printed() {
    let program = env!("CARGO_BIN_EXE_mixed-version-companion");
    let help = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("run") && help.contains("check-config"), "{help}");
    let version = Command::new(program).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(version, format!("mixed-version-companion {}\n", env!("CARGO_PKG_VERSION")));
}
