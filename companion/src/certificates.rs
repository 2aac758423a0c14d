//! Certificates and private keys in PEM files, read whole and checked.
//!
//! What is handed on is written anew from what was parsed: a file may hold more
//! than it should, such as a key beside its certificate, and readers of PEM
//! differ in what they tolerate.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pem::{EncodeConfig, LineEnding, Pem};
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::KeyPairFiles;

/// Bundles of every public authority are a quarter of this.
const MAX_BYTES: u64 = 1 << 20;

/// A file that cannot be used. It may be right the next time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {problem}", file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// The certificates of a file, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates {
    der: Vec<CertificateDer<'static>>,
    pem: Arc<str>,
    /// When each is valid, in seconds since 1970.
    validity: Vec<RangeInclusive<i64>>,
}

/// A private key. Not shown by anything.
pub struct PrivateKey {
    der: PrivateKeyDer<'static>,
    pem: Arc<str>,
}

/// A certificate, with those between it and its authority, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    certificates: Certificates,
    key: Arc<str>,
}

impl Certificates {
    /// Reads all certificates of a file.
    ///
    /// # Errors
    /// There is none, or one that does not parse.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let content = content(file)?;
        let error = |problem: String| FileError { file: file.to_owned(), problem };
        let der: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
        let der = der.map_err(|problem| error(format!("is no PEM: {problem}")))?;
        let mut validity = Vec::new();
        for (position, certificate) in der.iter().enumerate() {
            let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|problem| {
                error(format!("has a certificate (number {}): {problem}", position + 1))
            })?;
            if !rest.is_empty() {
                return Err(error(format!("has a certificate (number {}) and more", position + 1)));
            }
            let valid = parsed.validity();
            validity.push(valid.not_before.timestamp()..=valid.not_after.timestamp());
        }
        if der.is_empty() {
            return Err(error("has no certificate (PEM)".to_owned()));
        }
        let pem = der.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect();
        Ok(Self { der, pem: Arc::<str>::from(String::from_iter::<Vec<_>>(pem)), validity })
    }

    /// The certificates and nothing else (PEM).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The end of the first one's validity, in seconds since 1970.
    #[must_use]
    pub fn expiry(&self) -> i64 {
        self.validity.first().map_or(i64::MIN, |validity| *validity.end())
    }

    /// Refuses authorities, read from `file`, of which none is valid at this
    /// time (seconds since 1970).
    ///
    /// # Errors
    /// It is so.
    pub fn check_authorities(&self, file: &Path, now: i64) -> Result<(), FileError> {
        match self.validity.iter().any(|validity| validity.contains(&now)) {
            true => Ok(()),
            false => Err(untimely(file, "has no certificate that is valid now")),
        }
    }

    /// Whether one of these, as an authority, signed one of `others`, whatever
    /// their time. What cannot be read was signed by none.
    #[must_use]
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

    /// 16 digits that others do not have.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.pem.as_bytes());
        digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PrivateKey {
    /// Reads the first private key of a file.
    ///
    /// # Errors
    /// There is none, or it is encrypted.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let der = PrivateKeyDer::from_pem_slice(&content(file)?).map_err(|_| FileError {
            file: file.to_owned(),
            problem: "has no private key (PEM, not encrypted)".to_owned(),
        })?;
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
    /// Reads both files of a pair, which must belong together.
    ///
    /// # Errors
    /// One of them cannot be used, or not with the other.
    pub fn read(files: &KeyPairFiles) -> Result<Self, FileError> {
        let certificates = Certificates::read(&files.certificate_file)?;
        let key = PrivateKey::read(&files.key_file)?;
        Self::of(certificates, key, files)
    }

    /// Puts a pair together that was read from these files.
    ///
    /// # Errors
    /// The key is of a kind that cannot be used, or is not the certificate's.
    pub fn of(
        certificates: Certificates,
        key: PrivateKey,
        files: &KeyPairFiles,
    ) -> Result<Self, FileError> {
        let error = |problem: String| FileError { file: files.key_file.clone(), problem };
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

    /// The certificate and those between it and its authority.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The private key (PEM).
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Refuses a pair, read from these files, of which the certificate is not
    /// valid at this time (seconds since 1970).
    ///
    /// # Errors
    /// It is so.
    pub fn check_time(&self, files: &KeyPairFiles, now: i64) -> Result<(), FileError> {
        let error = |problem| Err(untimely(&files.certificate_file, problem));
        match self.certificates.validity.first() {
            Some(validity) if now < *validity.start() => {
                error("has a certificate that is not valid yet")
            }
            Some(validity) if now > *validity.end() => error("has a certificate that has expired"),
            _ => Ok(()),
        }
    }
}

fn untimely(file: &Path, problem: &str) -> FileError {
    FileError { file: file.to_owned(), problem: problem.to_owned() }
}

impl AsRef<Certificates> for Certificates {
    fn as_ref(&self) -> &Certificates {
        self
    }
}

impl AsRef<Certificates> for KeyPair {
    fn as_ref(&self) -> &Certificates {
        &self.certificates
    }
}

/// Refuses a front-proxy certificate of the clients' own authority. The API
/// servers would take it for a client's, and each client for that one user,
/// wherever they do not take it for the front proxy's.
///
/// # Errors
/// `clients` signed it.
pub fn check_front_proxy(
    clients: &Certificates,
    front_proxy: &KeyPair,
    files: &KeyPairFiles,
) -> Result<(), FileError> {
    match clients.signed(front_proxy.certificates()) {
        false => Ok(()),
        true => Err(FileError {
            file: files.certificate_file.clone(),
            problem:
                "is signed by an authority in listenerTls.clientCaFile; the front proxy needs \
                      an authority of its own, that of --requestheader-client-ca-file"
                    .to_owned(),
        }),
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.fingerprint())
    }
}

impl fmt::Debug for KeyPair {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.certificates.fingerprint())
    }
}

fn encode(label: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), config)
}

fn content(file: &Path) -> Result<Vec<u8>, FileError> {
    let error = |problem: String| FileError { file: file.to_owned(), problem };
    let mut content = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MAX_BYTES + 1).read_to_end(&mut content));
    let size = read.map_err(|problem| error(format!("cannot be read: {problem}")))?;
    match u64::try_from(size) {
        Ok(size) if size <= MAX_BYTES => Ok(content),
        _ => Err(error(format!("has more than {MAX_BYTES} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair as Key};

    use super::*;

    /// A self-signed certificate of this key.
    fn certificate(key: &Key) -> String {
        CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(key).unwrap().pem()
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn pair(&self, certificate: &str, key: &str) -> Result<KeyPair, FileError> {
            std::fs::write(self.path("crt"), certificate).unwrap();
            std::fs::write(self.path("key"), key).unwrap();
            KeyPair::read(&KeyPairFiles {
                certificate_file: self.path("crt"),
                key_file: self.path("key"),
            })
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
    }

    #[test]
    fn only_what_belongs_together_is_a_pair() {
        let files = Files::new();
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let pair = files.pair(&certificate(&one), &one.serialize_pem()).unwrap();
        assert_eq!(pair.certificates().fingerprint().len(), 16);
        let error = files.pair(&certificate(&one), &other.serialize_pem()).unwrap_err();
        assert_eq!(error.file, files.path("key"));
        assert!(error.problem.starts_with("is not the key of"), "{error}");
    }

    #[test]
    fn an_authority_knows_what_it_signed() {
        use rcgen::{BasicConstraints, CertifiedIssuer, IsCa};
        let authority = || {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap()
        };
        let (one, other) = (authority(), authority());
        let key = Key::generate().unwrap();
        let leaf = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &one).unwrap();
        let files = Files::new();
        let pair = files.pair(&leaf.pem(), &key.serialize_pem()).unwrap();
        let bundle = |pem: String| {
            std::fs::write(files.path("ca"), pem).unwrap();
            Certificates::read(&files.path("ca")).unwrap()
        };
        assert!(bundle([other.pem(), one.pem()].concat()).signed(pair.certificates()));
        assert!(!bundle(other.pem()).signed(pair.certificates()));
        let names = KeyPairFiles { certificate_file: "/c".into(), key_file: "/k".into() };
        let error = check_front_proxy(&bundle(one.pem()), &pair, &names).unwrap_err();
        assert!(error.to_string().starts_with("/c is signed by an authority in"), "{error}");
    }

    #[test]
    fn half_a_file_and_an_empty_one_are_errors() {
        let files = Files::new();
        let key = Key::generate().unwrap();
        let (crt, key) = (certificate(&key), key.serialize_pem());
        let half = |text: &str| text[..text.len() / 2].to_owned();
        for (crt, key) in
            [(half(&crt), key.clone()), (crt, half(&key)), (String::new(), key.clone())]
        {
            assert!(files.pair(&crt, &key).is_err(), "{crt}{key}");
        }
        let broken = format!(
            "{}{}",
            certificate(&Key::generate().unwrap()),
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
        );
        std::fs::write(files.path("ca"), broken).unwrap();
        let error = Certificates::read(&files.path("ca")).unwrap_err();
        assert!(error.problem.contains("number 2"), "{error}");
    }

    #[test]
    fn a_key_beside_the_certificate_is_not_handed_on() {
        let files = Files::new();
        let key = Key::generate().unwrap();
        let (crt, key) = (certificate(&key), key.serialize_pem());
        let both = format!("# mine\n{crt}{key}");
        let pair = files.pair(&both, &both).unwrap();
        assert_eq!(pair.certificates().pem(), crt);
        assert_eq!(pair.key(), key);
        assert!(!format!("{pair:?}").contains("PRIVATE"));
    }
}
