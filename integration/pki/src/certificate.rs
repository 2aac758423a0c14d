//! Client certificates with any subject, validity and purpose.
//!
//! rcgen keeps one value for each attribute type and checks its input, so these
//! certificates are encoded here; rcgen's keys sign them.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use rcgen::{PublicKeyData, SigningKey};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;
use yasna::construct_der;
use yasna::models::{GeneralizedTime, UTCTime};

use crate::der::{self, tag};
use crate::subject::Subject;

/// ecdsa-with-SHA256, which is how rcgen's default keys sign.
const SIGNATURE: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The content of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Who the client is.
    pub subject: Subject,
    /// When the certificate is valid.
    pub validity: Validity,
    /// Its purposes. None means any purpose.
    pub purposes: Vec<Purpose>,
}

impl ClientCertificate {
    /// Returns a certificate that is valid now, for clients.
    pub fn new(subject: Subject) -> Self {
        Self { subject, validity: Validity::default(), purposes: vec![Purpose::Client] }
    }
}

/// An extended key usage (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be a client.
    Client,
    /// To be a server.
    Server,
    /// Any purpose.
    Any,
}

impl Purpose {
    fn object_identifier(self) -> Vec<u8> {
        der::object_identifier(match self {
            Self::Client => &[1, 3, 6, 1, 5, 5, 7, 3, 2],
            Self::Server => &[1, 3, 6, 1, 5, 5, 7, 3, 1],
            Self::Any => &[2, 5, 29, 37, 0],
        })
    }
}

/// From when and until when a certificate is valid, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// From an hour ago until `not_after`.
    pub fn until(not_after: SystemTime) -> Self {
        Self { not_before: SystemTime::now() - HOUR, not_after }
    }

    /// It ended an hour ago.
    pub fn past() -> Self {
        let now = SystemTime::now();
        Self { not_before: now - YEAR, not_after: now - HOUR }
    }

    /// It begins in an hour.
    pub fn future() -> Self {
        let now = SystemTime::now();
        Self { not_before: now + HOUR, not_after: now + YEAR }
    }

    fn der(self) -> Vec<u8> {
        der::sequence(&[moment(self.not_before), moment(self.not_after)])
    }
}

impl Default for Validity {
    /// For a year, from an hour ago.
    fn default() -> Self {
        Self::until(SystemTime::now() + YEAR)
    }
}

/// Who signs a certificate.
pub(super) struct Signer<'k, K> {
    /// Its subject, which becomes the certificate's issuer.
    pub name: Subject,
    /// The identifier of its key.
    pub key_identifier: Vec<u8>,
    /// Its key.
    pub key: &'k K,
}

impl<K: SigningKey> Signer<'_, K> {
    /// Returns a certificate for the owner of `public_key`, in DER.
    pub fn sign(
        &self,
        certificate: &ClientCertificate,
        public_key: &impl PublicKeyData,
    ) -> Result<Vec<u8>> {
        let public_key = public_key.subject_public_key_info();
        let algorithm = der::sequence(&[der::object_identifier(SIGNATURE)]);
        let serial = digest(&SHA256, &public_key);
        let to_sign = der::sequence(&[
            der::value(tag::EXPLICIT_0, &der::integer(&[2])), // version 3
            der::integer(serial.as_ref().get(..16).unwrap_or_default()),
            algorithm.clone(),
            self.name.der(),
            certificate.validity.der(),
            certificate.subject.der(),
            public_key,
            der::value(tag::EXPLICIT_3, &self.extensions(&certificate.purposes)),
        ]);
        let signature = der::bit_string(&self.key.sign(&to_sign)?);
        Ok(der::sequence(&[to_sign, algorithm, signature]))
    }

    fn extensions(&self, purposes: &[Purpose]) -> Vec<u8> {
        // The first bit of the key usage is digitalSignature.
        let key_usage = der::value(tag::BIT_STRING, &[7, 0x80]);
        // It distinguishes two authorities with the same name, as after a rotation.
        let authority = der::sequence(&[der::value(tag::CONTEXT_0, &self.key_identifier)]);
        let mut extensions = vec![
            extension(KEY_USAGE, true, &key_usage),
            extension(AUTHORITY_KEY_IDENTIFIER, false, &authority),
        ];
        let purposes: Vec<_> = purposes.iter().map(|purpose| purpose.object_identifier()).collect();
        if !purposes.is_empty() {
            extensions.push(extension(EXTENDED_KEY_USAGE, false, &der::sequence(&purposes)));
        }
        der::sequence(&extensions)
    }
}

fn extension(oid: &[u64], critical: bool, content: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::object_identifier(oid)];
    if critical {
        parts.push(der::value(tag::BOOLEAN, &[0xff]));
    }
    parts.push(der::value(tag::OCTET_STRING, content));
    der::sequence(&parts)
}

/// UTCTime until 2049, GeneralizedTime later (RFC 5280, 4.1.2.5).
fn moment(time: SystemTime) -> Vec<u8> {
    let time = OffsetDateTime::from(time).truncate_to_second();
    construct_der(|writer| match UTCTime::from_datetime_opt(time) {
        Some(time) => writer.write_utctime(&time),
        None => writer.write_generalized_time(&GeneralizedTime::from_datetime(time)),
    })
}
