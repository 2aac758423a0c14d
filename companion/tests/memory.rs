//! The memory limit that is promised. It is a binary of its own, which Cargo runs
//! alone: a debug build needs a minute for documents of megabytes, and the tests
//! of `running` expect answers within seconds.

use std::fs;
use std::time::Duration;

#[cfg(test)]
#[path = "running/companion.rs"]
#[expect(dead_code, reason = "most of it is for the tests of `running`")]
mod companion;
#[cfg(test)]
#[path = "running/peers.rs"]
#[expect(dead_code, reason = "most of it is for the tests of `running`")]
mod peers;

use companion::{Companion, within};
use peers::{Authority, Peer};

const LIMIT_KB: u64 = 64 * 1024;

/// The program's share of that, mapped from its file, measured on a release
/// build. A debug build's is three times as large and says nothing.
const PROGRAM_KB: u64 = 10 * 1024;

#[test]
fn five_peers_with_three_thousand_crds_each_stay_within_64_megabytes() {
    let authority = Authority::new();
    let names: Vec<_> =
        (0..3000).map(|n| format!("group-{}.example.com/v1/resources{n}", n % 300)).collect();
    let mut types: Vec<_> = names.iter().map(String::as_str).collect();
    types.push("/v1/pods");
    let peers: Vec<_> = (0..5).map(|_| Peer::start(&authority, &types)).collect();
    let settings = "polling: {timeout: 10s}";
    let companion = Companion::start_with(&authority, &peers.iter().collect::<Vec<_>>(), settings);
    within(Duration::from_secs(60), "the companion is ready", || companion.map().is_some());
    // Every change is another document of megabytes, another map, another state.
    for round in 0..3 {
        for (number, peer) in peers.iter().enumerate() {
            peer.change(|b| b.types.push(format!("round-{round}/v1/of-peer{number}")));
        }
        let last = format!("round-{round}/v1/of-peer4");
        // A debug build parses slowly.
        within(Duration::from_secs(60), "the round is published", || {
            companion.route(&last).as_deref() == Some("kube-apiserver_e")
        });
    }
    let status = fs::read_to_string(format!("/proc/{}/status", companion.pid())).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let own = kilobytes("VmHWM:") - kilobytes("RssFile:");
    println!("at most {own} kB beside the program's {} kB", kilobytes("RssFile:"));
    assert!(own + PROGRAM_KB < LIMIT_KB, "{own} kB");
}
