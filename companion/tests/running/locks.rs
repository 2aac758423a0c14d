//! Two companions with a directory in common.

use std::fs;
use std::process::Output;

use crate::companion::Companion;
use crate::peers::{Authority, Peer};

const TYPES: &[&str] = &["/v1/pods"];

/// Runs a companion that shares a directory of another one, which is still running.
fn second(authority: &Authority, peer: &Peer, first: &Companion, shared: &str) -> Companion {
    let second = Companion::prepare(authority, &[peer], "");
    let (own, others) = (second.path(shared), first.path(shared));
    second.write_config(|config| {
        config.replace(&own.display().to_string(), &others.display().to_string())
    });
    second
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_companion_on_a_directory_refuses_to_start_and_names_the_first() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, TYPES);
    let mut first = Companion::start(&authority, &[&peer]);
    first.wait_until_ready();
    for (shared, field) in [("envoy", "envoy.directory"), ("state", "stateDirectory")] {
        let mut second = second(&authority, &peer, &first, shared);
        let text = refusal(&second.command("run").output().unwrap());
        let directory = first.path(shared);
        assert!(text.contains(&format!("{field}: {}", directory.display())), "{text}");
        assert!(text.contains(&format!("process {}", first.pid())), "{text}");
        assert!(first.map().is_some(), "the first one goes on");

        // However the first one ends, its locks end with it.
        first.kill();
        second.spawn();
        second.wait_until_ready();
        second.kill();
        first.spawn();
        first.wait_until_ready();
    }
}

#[test]
fn a_companion_with_the_same_configuration_names_the_directory_and_not_the_port() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, TYPES);
    let first = Companion::start(&authority, &[&peer]);
    first.wait_until_ready();
    let text = refusal(&first.command("run").output().unwrap());
    assert!(text.contains("stateDirectory: "), "{text}");
    assert!(text.contains(&format!("process {}", first.pid())), "{text}");
}

#[test]
fn the_state_and_envoy_directories_can_be_the_same() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, TYPES);
    let mut companion = Companion::prepare(&authority, &[&peer], "");
    let (state, envoy) = (companion.path("state"), companion.path("envoy"));
    companion.write_config(|config| {
        config.replace(&state.display().to_string(), &envoy.display().to_string())
    });
    companion.spawn();
    companion.wait_until_ready();
    assert!(fs::exists(companion.path("envoy/state.json")).unwrap());
}
