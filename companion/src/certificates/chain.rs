//! The certificates of one file: a chain, or a bundle of authorities.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::file::{FileError, content, encode};
use crate::fingerprint::fingerprint;

/// The certificates of a file, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates {
    pub(super) der: Vec<CertificateDer<'static>>,
    pem: Arc<str>,
    /// When each is valid, in seconds since 1970.
    validity: Vec<RangeInclusive<i64>>,
}

impl Certificates {
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let content = content(file)?;
        let error = |problem: String| FileError::new(file, problem);
        let der: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
        let der = der.map_err(|problem| error(format!("is not valid PEM: {problem}")))?;
        let mut validity = Vec::new();
        for (certificate, number) in der.iter().zip(1..) {
            let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|problem| {
                error(format!("has an invalid certificate {number}: {problem}"))
            })?;
            if !rest.is_empty() {
                return Err(error(format!("has trailing data in certificate {number}")));
            }
            let valid = parsed.validity();
            validity.push(valid.not_before.timestamp()..=valid.not_after.timestamp());
        }
        if der.is_empty() {
            return Err(error("contains no PEM certificate".to_owned()));
        }
        let pem: String =
            der.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect();
        Ok(Self { der, pem: pem.into(), validity })
    }

    pub fn der(&self) -> &[CertificateDer<'static>] {
        &self.der
    }

    /// Returns what verifies that one of these authorities signed a peer's certificate.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.der.iter().cloned());
        roots
    }

    /// Returns the certificates and nothing else (PEM).
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns when the first certificate is valid, in seconds since 1970.
    pub(super) fn first_validity(&self) -> Option<&RangeInclusive<i64>> {
        self.validity.first()
    }

    /// Returns when the first certificate expires, in seconds since 1970.
    pub fn expiry(&self) -> i64 {
        self.first_validity().map_or(i64::MIN, |validity| *validity.end())
    }

    /// Checks that one of these authorities, read from `file`, is valid at `now`
    /// (seconds since 1970).
    pub fn check_authorities(&self, file: &Path, now: i64) -> Result<(), FileError> {
        if self.validity.iter().any(|validity| validity.contains(&now)) {
            return Ok(());
        }
        Err(FileError::new(file, "contains no currently valid certificate"))
    }

    /// Returns whether one of these authorities signed one of `others`, whatever
    /// their validity. A certificate that does not parse counts as unsigned.
    pub fn signed(&self, others: &Self) -> bool {
        let parsed = |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
        let authorities: Vec<_> = self.der.iter().filter_map(|der| parsed(der)).collect();
        others.der.iter().filter_map(|der| parsed(der)).any(|certificate| {
            let signs = |authority: &X509Certificate<'_>| {
                certificate.verify_signature(Some(authority.public_key())).is_ok()
            };
            authorities.iter().any(signs)
        })
    }

    /// Returns 16 hexadecimal digits of a hash of the content.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.pem.as_bytes())
    }
}

impl AsRef<Self> for Certificates {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.fingerprint())
    }
}

#[cfg(test)]
impl Certificates {
    /// Returns a stand-in for comparisons with recorded output.
    pub fn of_text(pem: &str) -> Self {
        Self { der: Vec::new(), pem: pem.into(), validity: Vec::new() }
    }
}
