//! A certificate's subject, attribute by attribute, so that tests can make
//! subjects that ordinary tools do not.

use crate::der::{self, tag};

/// Attribute types by their object identifiers.
pub mod oid {
    /// CN, which Kubernetes reads as the user name.
    pub const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
    /// O, which Kubernetes reads as a group.
    pub const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
    /// OU, which Kubernetes does not read.
    pub const ORGANIZATIONAL_UNIT: &[u64] = &[2, 5, 4, 11];
    /// What Kubernetes reads as the user's uid (the arc is the Kubernetes
    /// project's, see `x509.UIDOID` in k8s.io/apiserver).
    pub const KUBERNETES_UID: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];
}

/// How an attribute's value is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringType {
    /// UTF8String.
    Utf8,
    /// PrintableString.
    Printable,
    /// IA5String (ASCII).
    Ia5,
    /// T61String, which is read as Latin-1 or not at all.
    T61,
    /// BMPString (UTF-16).
    Bmp,
    /// UniversalString (UTF-32).
    Universal,
    /// Any other tag, such as 0x04, an OCTET STRING.
    Tag(u8),
}

impl StringType {
    fn tag(self) -> u8 {
        match self {
            Self::Utf8 => 0x0c,
            Self::Printable => 0x13,
            Self::T61 => 0x14,
            Self::Ia5 => 0x16,
            Self::Universal => 0x1c,
            Self::Bmp => 0x1e,
            Self::Tag(tag) => tag,
        }
    }
}

/// One attribute: its type, and the bytes of its value as they are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The type.
    pub oid: Vec<u64>,
    /// The encoding of the value.
    pub string: StringType,
    /// The value. It may violate the encoding.
    pub value: Vec<u8>,
}

impl Attribute {
    /// Returns an attribute with a value in UTF-8.
    pub fn new(oid: &[u64], value: impl Into<Vec<u8>>) -> Self {
        Self { oid: oid.to_vec(), string: StringType::Utf8, value: value.into() }
    }

    /// CN.
    pub fn common_name(value: impl Into<Vec<u8>>) -> Self {
        Self::new(oid::COMMON_NAME, value)
    }

    /// O.
    pub fn organization(value: impl Into<Vec<u8>>) -> Self {
        Self::new(oid::ORGANIZATION, value)
    }

    /// Returns the same with another encoding.
    #[must_use]
    pub fn encoded_as(mut self, string: StringType) -> Self {
        self.string = string;
        self
    }

    fn der(&self) -> Vec<u8> {
        let value = der::value(self.string.tag(), &self.value);
        der::sequence(&[der::object_identifier(&self.oid), value])
    }
}

/// A subject: an ordered list of relative distinguished names (RDN), each of
/// one attribute or more. The order is that of the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject(Vec<Vec<Attribute>>);

impl Subject {
    /// Returns a subject without any attribute.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns a subject with the organizations first, then the common name, as in kubeadm's
    /// certificates.
    pub fn user(common_name: &str, organizations: &[&str]) -> Self {
        organizations
            .iter()
            .fold(Self::empty(), |subject, name| subject.with(Attribute::organization(*name)))
            .with(Attribute::common_name(common_name))
    }

    /// Adds an RDN of one attribute.
    #[must_use]
    pub fn with(self, attribute: Attribute) -> Self {
        self.with_multi_valued(vec![attribute])
    }

    /// Adds an RDN of these attributes, which are not sorted.
    #[must_use]
    pub fn with_multi_valued(mut self, attributes: Vec<Attribute>) -> Self {
        self.0.push(attributes);
        self
    }

    pub(super) fn der(&self) -> Vec<u8> {
        let rdn = |attributes: &Vec<Attribute>| {
            let attributes: Vec<_> = attributes.iter().map(Attribute::der).collect();
            der::value(tag::SET, &attributes.concat())
        };
        der::sequence(&self.0.iter().map(rdn).collect::<Vec<_>>())
    }
}
