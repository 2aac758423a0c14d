//! Header maps as the host hands them over.

use filter_core::{Headers, serialize};
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let headers = Headers::new(bytes.to_vec());
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

#[test]
fn a_map_has_the_form_of_the_abi() {
    let expected = b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0a\0bc\0d\0\0";
    assert_eq!(serialize(&[(b"a", b"bc"), (b"d", b"")]), expected);
}

#[test]
fn an_empty_map_has_no_headers() {
    assert_eq!(read(&serialize(&[])), []);
    assert_eq!(read(b""), []);
}

#[test]
fn values_need_not_be_utf_8_and_may_be_empty() {
    let written = serialize(&[(b"x", b"\xff"), (b"y", b"")]);
    assert_eq!(read(&written), [(vec![b'x'], vec![0xff]), (vec![b'y'], vec![])]);
}

#[test]
fn a_map_that_is_cut_short_has_only_the_headers_before_the_cut() {
    let whole = serialize(&[(b"a", b"1"), (b"b", b"2")]);
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).len() < 2, "{end}");
    }
}

#[test]
fn a_count_that_overflows_has_no_headers() {
    assert_eq!(read(b"\xff\xff\xff\xff\0\0\0\0"), []);
}

#[test]
fn a_string_without_its_nul_ends_the_map() {
    let mut bytes = serialize(&[(b"a", b"1")]);
    *bytes.last_mut().unwrap() = b'x';
    assert_eq!(read(&bytes), []);
}

proptest! {
    #[test]
    fn a_map_is_read_as_it_was_written(fields: Vec<(Vec<u8>, Vec<u8>)>) {
        let borrowed: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        prop_assert_eq!(read(&serialize(&borrowed)), fields);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        read(&bytes);
    }
}
