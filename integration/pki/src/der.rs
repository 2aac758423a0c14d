//! The few DER forms that a certificate is made of (X.690).
//!
//! A value is bytes. Nothing is checked, because tests need invalid certificates.

use yasna::models::{ObjectIdentifier, TaggedDerValue};
use yasna::{PCBit, Tag, TagClass, construct_der};

/// Tags that certificates use.
pub(super) mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[0]`, primitive.
    pub const CONTEXT_0: u8 = 0x80;
    /// `[0]` around a value of its own.
    pub const EXPLICIT_0: u8 = 0xa0;
    /// `[3]` around a value of its own.
    pub const EXPLICIT_3: u8 = 0xa3;
}

/// Returns tag, length and content.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let tag_class = match tag >> 6 {
        0 => TagClass::Universal,
        1 => TagClass::Application,
        2 => TagClass::ContextSpecific,
        _ => TagClass::Private,
    };
    let form = if tag & 0x20 == 0 { PCBit::Primitive } else { PCBit::Constructed };
    let tag = Tag { tag_class, tag_number: u64::from(tag & 0x1f) };
    let value = TaggedDerValue::from_tag_pc_and_bytes(tag, form, content.to_vec());
    construct_der(|writer| writer.write_tagged_der(&value))
}

/// Returns a SEQUENCE of values.
pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(tag::SEQUENCE, &parts.concat())
}

/// Returns an INTEGER that is not negative, from its bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    construct_der(|writer| writer.write_bigint_bytes(bytes, true))
}

/// Returns a BIT STRING of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    construct_der(|writer| writer.write_bitvec_bytes(bytes, 8 * bytes.len()))
}

/// Returns an OBJECT IDENTIFIER of at least two arcs.
pub(super) fn object_identifier(arcs: &[u64]) -> Vec<u8> {
    construct_der(|writer| writer.write_oid(&ObjectIdentifier::from_slice(arcs)))
}

#[cfg(test)]
mod tests {
    use super::{integer, object_identifier, sequence, tag, value};

    #[test]
    fn lengths_have_short_and_long_forms() {
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
    fn object_identifiers_are_encoded_in_base_128() {
        assert_eq!(object_identifier(&[2, 5, 4, 3]), [6, 3, 0x55, 4, 3]);
        assert_eq!(
            object_identifier(&[1, 3, 6, 1, 4, 1, 57683, 2]),
            [6, 9, 0x2b, 6, 1, 4, 1, 0x83, 0xc2, 0x53, 2]
        );
    }
}
