//! A certificate with its private key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::chain::Certificates;
use super::file::{FileError, content, encode};

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The certificate chain (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
}

/// A private key. It has no `Debug`, so that no log can show it.
pub struct PrivateKey {
    der: PrivateKeyDer<'static>,
    pem: Arc<str>,
}

/// A certificate, its intermediates, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    certificates: Certificates,
    key: Arc<str>,
}

impl PrivateKey {
    /// Reads the first private key of a file.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let der = PrivateKeyDer::from_pem_slice(&content(file)?)
            .map_err(|_| FileError::new(file, "contains no unencrypted PEM private key"))?;
        let label = match &der {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let pem = encode(label, der.secret_der()).into();
        Ok(Self { der, pem })
    }
}

impl KeyPair {
    pub fn read(files: &KeyPairFiles) -> Result<Self, FileError> {
        let certificates = Certificates::read(&files.certificate_file)?;
        let key = PrivateKey::read(&files.key_file)?;
        Self::of(certificates, key, files)
    }

    /// Returns the pair of what was read from these files.
    pub fn of(
        certificates: Certificates,
        key: PrivateKey,
        files: &KeyPairFiles,
    ) -> Result<Self, FileError> {
        let error = |problem: String| FileError::new(&files.key_file, problem);
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(certificates.der.clone(), key.der, &provider);
        pair.map_err(|problem| match problem {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let certificate = files.certificate_file.display();
                error(format!("is not the key of the certificate in {certificate}"))
            }
            Error::General(problem) => error(format!("cannot be used: {problem}")),
            other => error(format!("cannot be used: {other}")),
        })?;
        Ok(Self { certificates, key: key.pem })
    }

    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the key as TLS takes it.
    ///
    /// # Errors
    /// The key is not PEM: a fault of this program, which encoded it.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, pem::Error> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes())
    }

    /// Checks that the certificate, read from these files, is valid at `now` (seconds since 1970).
    pub fn check_time(&self, files: &KeyPairFiles, now: i64) -> Result<(), FileError> {
        let error = |problem| Err(FileError::new(&files.certificate_file, problem));
        match self.certificates.first_validity() {
            Some(validity) if now < *validity.start() => {
                error("has a certificate that is not valid yet")
            }
            Some(validity) if now > *validity.end() => error("has a certificate that has expired"),
            _ => Ok(()),
        }
    }
}

impl AsRef<Certificates> for KeyPair {
    fn as_ref(&self) -> &Certificates {
        &self.certificates
    }
}

impl fmt::Debug for KeyPair {
    /// Omits the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.certificates.fingerprint())
    }
}

#[cfg(test)]
impl KeyPair {
    /// Returns a stand-in for comparisons with recorded output.
    pub fn of_text(certificates: Certificates, key: &str) -> Self {
        Self { certificates, key: key.into() }
    }
}
