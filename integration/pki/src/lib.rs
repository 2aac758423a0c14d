//! A certificate authority for one test: server and client certificates, and
//! the key pair that signs service-account tokens, all as PEM files in one
//! folder, because the programs under test read files.
//!
//! A client certificate can have any subject, validity and purpose:
//!
//! ```text
//!   Pki ── client_with ──▶ ClientCertificate ── subject ──▶ Subject = [RDN, RDN, …]
//!                                             │                 RDN = [Attribute, …]
//!                                             ├ validity           (type, encoding, bytes)
//!                                             └ purposes
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

mod certificate;
mod der;
pub mod ports;
mod server;
mod subject;
#[cfg(test)]
mod tests;
pub mod tls;

use certificate::Signer;
pub use certificate::{ClientCertificate, Purpose, Validity};
pub use server::TlsServer;
pub use subject::{Attribute, StringType, Subject, oid};

/// The default name of an authority.
const AUTHORITY_NAME: &str = "mixed-version-proxy-test-ca";

/// The names in every server certificate: tests reach servers by address, and
/// clients inside a cluster by the Service's names.
const SERVER_NAMES: [&str; 7] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key (PKCS #8).
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Returns the certificate itself. Fails if it cannot be read.
    pub fn certificate(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(&self.certificate)
            .with_context(|| format!("cannot read {}", self.certificate.display()))
    }

    /// Returns the SHA-256 digest of the certificate's DER, in lower-case
    /// hexadecimal digits, as kube-apiserver and Envoy write it. Fails if the
    /// certificate cannot be read.
    pub fn certificate_sha256(&self) -> Result<String> {
        let digest = digest(&SHA256, &self.certificate()?);
        Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Copies both to `<file>.crt` and `<file>.key` in `folder`. Fails if a file cannot be read or
    /// written.
    pub fn copy_to(&self, folder: &Path, file: &str) -> Result<()> {
        for (from, extension) in [(&self.certificate, "crt"), (&self.key, "key")] {
            let to = folder.join(format!("{file}.{extension}"));
            fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }
}

/// The authority. Its files are in the folder that it was created with.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    name: String,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes a new authority in `folder`, which is created if it is missing.
    /// Fails if the folder cannot be written.
    pub fn create(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::create_as(folder, AUTHORITY_NAME)
    }

    /// Makes one with this common name. Fails if the folder cannot be written.
    pub fn create_as(folder: impl Into<PathBuf>, common_name: &str) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pki = Self { folder, name: common_name.to_owned(), authority };
        pki.write("ca.crt", &pki.authority.pem())?;
        Ok(pki)
    }

    /// Returns the authority's certificate, as a file.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Writes the authority's key, for a program that issues certificates, and
    /// returns its file. Fails if the file cannot be written.
    pub fn ca_key_file(&self) -> Result<PathBuf> {
        self.write("ca.key", &self.authority.key().serialize_pem())?;
        Ok(self.folder.join("ca.key"))
    }

    /// Returns the authority's certificate, as PEM text.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// Returns the folder that holds all files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Issues a server certificate in `<file>.crt` and `<file>.key`, good for
    /// loopback and the names of the `kubernetes` Service. Fails if a file
    /// cannot be written.
    pub fn server(&self, file: &str) -> Result<CertificateFiles> {
        let mut params = CertificateParams::new(SERVER_NAMES.map(str::to_owned))?;
        params.distinguished_name = name(file);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(file, params)
    }

    /// Issues a certificate in `<file>.crt` and `<file>.key` with this one
    /// name, good for servers and for clients. Fails if a file cannot be
    /// written.
    pub fn for_any_purpose(&self, file: &str, name: &str) -> Result<CertificateFiles> {
        self.issue(file, CertificateParams::new(vec![name.to_owned()])?)
    }

    /// Issues a client certificate in `<file>.crt` and `<file>.key`, for the
    /// user `common_name` in the groups `organizations`. Fails if a file cannot
    /// be written.
    pub fn client(
        &self,
        file: &str,
        common_name: &str,
        organizations: &[&str],
    ) -> Result<CertificateFiles> {
        let subject = Subject::user(common_name, organizations);
        self.client_with(file, &ClientCertificate::new(subject))
    }

    /// Issues this client certificate in `<file>.crt` and `<file>.key`. Fails
    /// if a file cannot be written.
    pub fn client_with(
        &self,
        file: &str,
        certificate: &ClientCertificate,
    ) -> Result<CertificateFiles> {
        let issuer = Subject::user(&self.name, &[]);
        let pair = KeyPair::generate()?;
        self.sign(file, certificate, &pair, issuer, self.authority.key())
    }

    /// Issues this client certificate in `<file>.crt` and `<file>.key`, signed
    /// by its own key and not by the authority. Fails if a file cannot be
    /// written.
    pub fn self_signed_client(
        &self,
        file: &str,
        certificate: &ClientCertificate,
    ) -> Result<CertificateFiles> {
        let pair = KeyPair::generate()?;
        self.sign(file, certificate, &pair, certificate.subject.clone(), &pair)
    }

    /// Returns the certificate that was issued in `<file>.crt` and `<file>.key`.
    pub fn issued(&self, file: &str) -> CertificateFiles {
        let path = |extension: &str| self.folder.join(format!("{file}.{extension}"));
        CertificateFiles { certificate: path("crt"), key: path("key") }
    }

    /// Writes a key pair for service-account tokens to `sa.pub` and `sa.key`.
    /// Fails if a file cannot be written.
    pub fn service_account_keys(&self) -> Result<()> {
        let pair = KeyPair::generate()?;
        self.write("sa.pub", &pair.public_key_pem())?;
        self.write("sa.key", &pair.serialize_pem())
    }

    fn issue(&self, file: &str, mut params: CertificateParams) -> Result<CertificateFiles> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, &self.authority)?;
        self.write_files(file, &certificate.pem(), &pair)
    }

    fn sign(
        &self,
        file: &str,
        certificate: &ClientCertificate,
        pair: &KeyPair,
        issuer: Subject,
        key: &KeyPair,
    ) -> Result<CertificateFiles> {
        let key_identifier = CertificateParams::default().key_identifier(key);
        let signed = Signer { name: issuer, key_identifier, key }.sign(certificate, pair)?;
        self.write_files(file, &pem::encode(&pem::Pem::new("CERTIFICATE", signed)), pair)
    }

    fn write_files(
        &self,
        file: &str,
        certificate: &str,
        pair: &KeyPair,
    ) -> Result<CertificateFiles> {
        self.write(&format!("{file}.crt"), certificate)?;
        self.write(&format!("{file}.key"), &pair.serialize_pem())?;
        Ok(self.issued(file))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Returns a name of one attribute, as [`Subject::user`] makes it too.
fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
