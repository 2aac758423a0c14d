//! The few DER forms that a certificate is made of (X.690).
//!
//! A value is bytes. Nothing is checked, because tests need invalid certificates.

/// Tags that certificates use.
pub(super) mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[0]`, primitive.
    pub const CONTEXT_0: u8 = 0x80;
    /// `[0]` around a value of its own.
    pub const EXPLICIT_0: u8 = 0xa0;
    /// `[3]` around a value of its own.
    pub const EXPLICIT_3: u8 = 0xa3;
}

/// Tag, length, content.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = significant(&length);
    let mut encoded = vec![tag];
    match significant {
        [] => encoded.push(0),
        [short @ 0..0x80] => encoded.push(*short),
        long => {
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}

/// Returns a SEQUENCE of values.
pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(tag::SEQUENCE, &parts.concat())
}

/// Returns an INTEGER that is not negative, from its bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut content = significant(bytes).to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    value(tag::INTEGER, &content)
}

/// Returns a BIT STRING of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(tag::BIT_STRING, &[&[0], bytes].concat())
}

/// Returns an OBJECT IDENTIFIER of at least two arcs.
pub(super) fn object_identifier(arcs: &[u64]) -> Vec<u8> {
    let mut content = Vec::new();
    if let [first, second, others @ ..] = arcs {
        push_base128(&mut content, first * 40 + second);
        for arc in others {
            push_base128(&mut content, *arc);
        }
    }
    value(tag::OBJECT_IDENTIFIER, &content)
}

fn push_base128(content: &mut Vec<u8>, arc: u64) {
    let mut groups: Vec<u8> = (0..10).map(|n| ((arc >> (7 * n)) & 0x7f) as u8 | 0x80).collect();
    while groups.len() > 1 && groups.last() == Some(&0x80) {
        groups.pop();
    }
    groups.reverse();
    if let Some(last) = groups.last_mut() {
        *last &= 0x7f;
    }
    content.extend(groups);
}

/// Without leading zeros.
fn significant(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{integer, object_identifier, sequence, tag, value};

    #[test]
    fn lengths_are_short_or_long() {
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(value(tag::OCTET_STRING, &[7; 127])[..2], [4, 127]);
        assert_eq!(value(tag::OCTET_STRING, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(value(tag::OCTET_STRING, &[7; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn integers_are_not_negative() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(object_identifier(&[2, 5, 4, 3]), [6, 3, 0x55, 4, 3]);
        assert_eq!(
            object_identifier(&[1, 3, 6, 1, 4, 1, 57683, 2]),
            [6, 9, 0x2b, 6, 1, 4, 1, 0x83, 0xc2, 0x53, 2]
        );
    }
}
