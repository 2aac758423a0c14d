//! What is unpacked, what is refused, and what is shared with the last map.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Documents, Packed, Packer};
use crate::DiscoveryMap;

const GOLDEN: &str = include_str!("../../golden/map.json");

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn packed(plain: &[u8]) -> Packed {
    Packed { position: 3, size: plain.len(), gzip: STANDARD.encode(gzip(plain)) }
}

#[test]
fn a_document_that_was_packed_in_pieces_is_unpacked_whole() {
    let mut packer = Packer::default();
    packer.add(b"{\"a\"");
    packer.add(b":1}");
    let packed = Packed { position: 0, size: 7, gzip: packer.finish() };
    let documents = Documents::unpack(vec![packed], &Documents::default()).unwrap();
    assert_eq!(documents.get(0).unwrap().plain(), b"{\"a\":1}");
}

#[test]
fn content_that_contradicts_the_map_is_refused() {
    let refusal = |packed| Documents::unpack(vec![packed], &Documents::default()).unwrap_err();
    let good = packed(b"{\"a\":1}");
    for size in [0, 6, 8, 1_000_000] {
        let error = refusal(Packed { size, ..good.clone() });
        assert!(error.to_string().starts_with("documents[3].gzip: must unpack to"), "{error}");
    }
    let mut bytes = gzip(b"{\"a\":1}");
    bytes.push(0);
    let behind = Packed { gzip: STANDARD.encode(&bytes), ..good.clone() };
    assert_eq!(refusal(behind).to_string(), "documents[3].gzip: has trailing data");
    for cut in 0..bytes.len() - 1 {
        let cut = Packed { gzip: STANDARD.encode(&bytes[..cut]), ..good.clone() };
        refusal(cut);
    }
    for (at, byte) in [(0, 0), (12, 0xff), (bytes.len() - 5, 0x55), (bytes.len() - 9, 0x55)] {
        let mut damaged = bytes[..bytes.len() - 1].to_vec();
        damaged[at] = byte;
        refusal(Packed { gzip: STANDARD.encode(damaged), ..good.clone() });
    }
    refusal(Packed { gzip: "AA=A".into(), ..good });
}

#[test]
fn an_unchanged_document_is_not_unpacked_again() {
    let first = Documents::unpack(vec![packed(b"a"), packed(b"b")], &Documents::default()).unwrap();
    let second = Documents::unpack(vec![packed(b"c"), packed(b"b")], &first).unwrap();
    assert!(std::ptr::eq(first.get(1).unwrap(), second.get(1).unwrap()));
    assert_eq!(second.get(0).unwrap().plain(), b"c");
    // Known bytes with a wrong size are still refused.
    let wrong = Packed { size: 2, ..packed(b"b") };
    assert!(Documents::unpack(vec![wrong], &first).is_err());
    assert!(second.get(2).is_none());
}

#[test]
fn the_golden_file_is_unpacked() {
    let mut map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    let documents = Documents::unpack(map.take_packed(), &Documents::default()).unwrap();
    assert!(documents.get(0).unwrap().plain().starts_with(b"{\"kind\":\"APIGroupDiscoveryList\""));
}
