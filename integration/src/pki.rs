//! A certificate authority for one test: server and client certificates, and
//! the key pair that signs service-account tokens, all as PEM files in one
//! folder, because the programs under test read files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// Names that every server certificate is good for: tests reach servers by
/// address, clients inside a cluster by the Service's names.
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
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key (PKCS #8).
    pub key: PathBuf,
}

/// The key pair of service-account tokens, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeys {
    /// Verifies tokens.
    pub public: PathBuf,
    /// Signs tokens.
    pub private: PathBuf,
}

/// The authority. Its files are in the folder that it was created with.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes a new authority in `folder`, which is created when missing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn create(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("mixed-version-proxy-test-ca", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pki = Self { folder, authority };
        pki.write("ca.crt", &pki.authority.pem())?;
        Ok(pki)
    }

    /// The authority's certificate, as a file.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The authority's certificate, as PEM text.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The folder that holds all files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A server certificate in `<file>.crt` and `<file>.key`, good for
    /// loopback and the names of the `kubernetes` Service.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn server(&self, file: &str) -> Result<Identity> {
        let mut params = CertificateParams::new(SERVER_NAMES.map(str::to_owned))?;
        params.distinguished_name = name(file, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(file, params)
    }

    /// A client certificate in `<file>.crt` and `<file>.key`, for the user
    /// `common_name` in the groups `organizations`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn client(
        &self,
        file: &str,
        common_name: &str,
        organizations: &[&str],
    ) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name, organizations);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(file, params)
    }

    /// A key pair for service-account tokens in `sa.pub` and `sa.key`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn service_account_keys(&self) -> Result<SigningKeys> {
        let pair = KeyPair::generate()?;
        Ok(SigningKeys {
            public: self.write("sa.pub", &pair.public_key_pem())?,
            private: self.write("sa.key", &pair.serialize_pem())?,
        })
    }

    fn issue(&self, file: &str, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, &self.authority)?;
        Ok(Identity {
            certificate: self.write(&format!("{file}.crt"), &certificate.pem())?,
            key: self.write(&format!("{file}.key"), &pair.serialize_pem())?,
        })
    }

    fn write(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A subject: the organizations first, then the common name, as kubeadm does.
fn name(common_name: &str, organizations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for organization in organizations {
        name.push(DnType::OrganizationName, *organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}
