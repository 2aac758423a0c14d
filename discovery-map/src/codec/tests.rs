//! What is unpacked, what is refused, and what is shared with the last map.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Documents, Library, Packed, Packer};
use crate::DiscoveryMap;

const GOLDEN: &str = include_str!("../../golden/map.json");

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gzip_of(documents: &Documents) -> Vec<u8> {
    documents.get(0).unwrap().gzip().to_vec()
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
    let documents = Documents::read(vec![packed], &Library::default()).unwrap();
    assert_eq!(documents.get(0).unwrap().plain(), b"{\"a\":1}");
}

#[test]
fn content_that_contradicts_the_map_is_refused() {
    let refusal = |packed| Documents::read(vec![packed], &Library::default()).unwrap_err();
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
fn maps_share_what_they_have_in_common() {
    let library = Library::default();
    let first = Documents::read(vec![packed(b"a"), packed(b"b")], &library).unwrap();
    let second = Documents::read(vec![packed(b"c"), packed(b"b")], &library).unwrap();
    assert!(std::ptr::eq(first.get(1).unwrap(), second.get(1).unwrap()));
    assert_eq!(second.get(0).unwrap().plain(), b"c");
    // Known bytes with a wrong size are still refused.
    let wrong = Packed { size: 2, ..packed(b"b") };
    assert!(Documents::read(vec![wrong], &library).is_err());
    assert!(second.get(2).is_none());
}

#[test]
fn a_document_leaves_with_the_last_map_that_has_it() {
    let library = Library::default();
    for number in 0..1000 {
        let documents = [b"a".to_vec(), format!("{number}").into_bytes()];
        let packed = documents.iter().map(|document| packed(document)).collect();
        Documents::read(packed, &library).unwrap();
    }
    assert!(library.0.borrow().shelves.len() <= 16);
}

#[test]
fn documents_with_equal_hashes_are_told_apart() {
    let library = Library::default();
    let read = |plain: &[u8]| Documents::read(vec![packed(plain)], &library).unwrap();
    let [first, second] = [read(b"a"), read(b"b")];
    let shelves = std::mem::take(&mut *library.0.borrow_mut()).shelves;
    let all: Vec<_> = shelves.into_values().flatten().collect();
    let shelves = &library.0;
    let hash = 7;
    shelves.borrow_mut().shelves.insert(hash, all);
    for (documents, plain) in [(first, b"a"), (second, b"b")] {
        let found = shelves.borrow().find(hash, &gzip_of(&documents), plain.len()).unwrap();
        assert_eq!(found.plain(), plain);
    }
    assert!(shelves.borrow().find(hash, b"other", 1).is_none());
}

#[test]
fn the_golden_file_is_unpacked() {
    let mut map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    let documents = Documents::read(map.take_packed(), &Library::default()).unwrap();
    assert!(documents.get(0).unwrap().plain().starts_with(b"{\"kind\":\"APIGroupDiscoveryList\""));
}
