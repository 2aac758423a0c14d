//! The memory limit that is promised. It is a binary of its own, which Cargo runs
//! alone: a debug build needs a minute for documents of megabytes, and the tests
//! of `running` expect answers within seconds.

#![cfg(test)]

use std::fs;
use std::time::Duration;

use fake_apiserver::replay::OpenApiDocument;

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

/// A debug build parses and merges megabytes slowly.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT_KB: u64 = 96 * 1024;

/// The program's share of that, mapped from its file, measured on a release
/// build. A debug build's is three times as large and says nothing.
const PROGRAM_KB: u64 = 10 * 1024;

/// A document of OpenAPI v3 somewhat larger than the largest in which two versions have different
/// types (`admissionregistration.k8s.io/v1`, 0.5 MB as JSON). `path` is one that no other has.
fn open_api(path: &str) -> OpenApiDocument {
    let long = "It says what is wanted of every thing that there is. ".repeat(40);
    let schemas: Vec<_> = (0..300).map(|n| format!("io.example.things.v1.Thing{n}")).collect();
    let json = |(at, name): (usize, &String)| {
        format!("\"{name}\":{{\"description\":\"{at} {long}\",\"type\":\"object\"}}")
    };
    let json: Vec<_> = schemas.iter().enumerate().map(json).collect();
    let json = format!(
        "{{\"openapi\":\"3.0.0\",\"info\":{{\"title\":\"T\",\"version\":\"1\"}},\"paths\":{{\
         \"{path}\":{{\"get\":{{\"description\":\"{long}\"}}}}}},\
         \"components\":{{\"schemas\":{{{}}}}}}}",
        json.join(",")
    );
    let named =
        |name: &str, value: &[u8]| field(1, &[field(1, name.as_bytes()), field(2, value)].concat());
    let schemas = schemas.iter().map(|name| named(name, &field(1, long.as_bytes())));
    let schemas: Vec<u8> = schemas.flatten().collect();
    let paths = named(path, &field(4, &field(2, long.as_bytes())));
    let protobuf = [field(1, b"3.0.0"), field(4, &paths), field(5, &field(1, &schemas))];
    OpenApiDocument { json: json.into_bytes(), protobuf: protobuf.concat() }
}

/// A field of a protobuf message whose value has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes.extend(value);
    bytes
}

#[test]
fn five_peers_with_three_thousand_crds_each_stay_within_96_megabytes() {
    let authority = Authority::new();
    let names: Vec<_> =
        (0..3000).map(|n| format!("group-{}.example.com/v1/resources{n}", n % 300)).collect();
    let mut types: Vec<_> = names.iter().map(String::as_str).collect();
    types.push("/v1/pods");
    let peers: Vec<_> = (0..5).map(|_| Peer::start(&authority, &types)).collect();
    let settings = "polling: {timeout: 10s}";
    // A group-version that each peer describes differently, in as large a document as there is.
    for (number, peer) in peers.iter().enumerate() {
        peer.change(|b| {
            b.types.push(format!("big/v1/of-peer{number}"));
            let document = open_api(&format!("/apis/big/v1/of-peer{number}"));
            b.open_api.insert("apis/big/v1".to_owned(), document);
        });
    }
    let companion = Companion::start_with(&authority, &peers.iter().collect::<Vec<_>>(), settings);
    within(PATIENCE, "the companion is ready", || companion.map().is_some());
    // Every change is another document of megabytes, another map, another state.
    for round in 0..3 {
        for (number, peer) in peers.iter().enumerate() {
            peer.change(|b| b.types.push(format!("round-{round}/v1/of-peer{number}")));
        }
        let last = format!("round-{round}/v1/of-peer4");
        within(PATIENCE, "the round is published", || {
            companion.route(&last).as_deref() == Some("kube-apiserver_e")
        });
    }
    within(PATIENCE, "the OpenAPI documents are merged", || {
        companion.map_text().is_some_and(|map| map.contains("\"/openapi/v3/apis/big/v1\""))
    });
    let status = fs::read_to_string(format!("/proc/{}/status", companion.pid())).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let own = kilobytes("VmHWM:") - kilobytes("RssFile:");
    println!("at most {own} kB beside the program's {} kB", kilobytes("RssFile:"));
    assert!(own + PROGRAM_KB < LIMIT_KB, "{own} kB");
}
