//! Strings as Go's crypto/x509 reads or refuses them.

use proptest::prelude::*;

use super::string;
use crate::SubjectError;

#[test]
fn strings_that_go_reads_are_read_alike() {
    let table: [(&[u8], &str); 13] = [
        (b"\x0c\x00", ""),
        (b"\x0c\x03a\xc3\xa9", "aé"),
        (b"\x12\x0312 ", "12 "),
        (b"\x13\x09aZ9 '()+,", "aZ9 '()+,"),
        (b"\x13\x08-./:=?*&", "-./:=?*&"),
        (b"\x14\x02a\xe9", "aé"),
        (b"\x16\x03a@\x7f", "a@\x7f"),
        (b"\x1e\x00", ""),
        (b"\x1e\x04\x00a\x01\x00", "aĀ"),
        (b"\x1e\x04\x00a\x00\x00", "a"),
        (b"\x1e\x04\x00\x00\x00a", "\0a"),
        (b"\x1e\x06\x00a\x00\x00\x00\x00", "a\0"),
        (b"\x1e\x02\x00\x00", ""),
    ];
    for (der, text) in table {
        assert_eq!(string(der).as_deref(), Ok(text), "{der:x?}");
    }
}

#[test]
fn strings_that_go_refuses_are_refused() {
    let table: [&[u8]; 34] = [
        // The element.
        b"",
        b"\x0c",
        b"\x0c\x01",
        b"\x0c\x00a",
        b"\x0c\x02a",
        b"\x0c\x01ab",
        b"\x0c\x80",
        b"\x0c\x80a\x00\x00",
        b"\x0c\x81",
        b"\x0c\x81\x01a",
        b"\x0c\x82\x00\x01a",
        b"\x0c\x84\x00\x00\x00\x01a",
        b"\x0c\x84\xff\xff\xff\xff",
        b"\x0c\xff",
        // The type.
        b"\x01\x01\xff",
        b"\x02\x01a",
        b"\x03\x02\x00a",
        b"\x04\x01a",
        b"\x05\x00",
        b"\x17\x01a",
        b"\x18\x01a",
        b"\x1a\x01a",
        b"\x1b\x01a",
        b"\x1c\x04\x00\x00\x00a",
        b"\x2c\x03\x0c\x01a",
        b"\x30\x00",
        b"\x8c\x01a",
        b"\x1f\x0c\x01a",
        // The characters.
        b"\x0c\x01\xff",
        b"\x12\x01a",
        b"\x13\x01@",
        b"\x16\x01\xe9",
        b"\x1e\x03\x00a\x00",
        b"\x1e\x02\xd8\x00",
    ];
    for der in table {
        assert_eq!(string(der), Err(SubjectError::NotText), "{der:x?}");
    }
    for noncharacter in [0xfffe_u16, 0xffff, 0xfdd0, 0xfdef, 0xdfff] {
        let [high, low] = noncharacter.to_be_bytes();
        assert_eq!(string(&[30, 2, high, low]), Err(SubjectError::NotText));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_string_or_an_error(bytes: Vec<u8>) {
        let _ = string(&bytes);
    }

    #[test]
    fn text_of_any_length_is_whole(length in prop_oneof![0..300_usize, 65_500..65_600_usize]) {
        let text = "x".repeat(length);
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        let mut der = vec![12];
        match text.len() {
            0..=0x7f => der.push(length[3]),
            0x80..=0xff => der.extend([0x81, length[3]]),
            0x100..=0xffff => der.extend([0x82, length[2], length[3]]),
            _ => der.extend([0x83, length[1], length[2], length[3]]),
        }
        der.extend(text.as_bytes());
        prop_assert_eq!(string(&der), Ok(text));
    }
}
