//! Who the companion is, and whom it believes: the files that say so, read
//! again in every round, so that a rotated token or certificate is used at
//! once and a half-written one is only a failed attempt.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{Credentials, PeerTls};

/// Why the identity cannot be used. The files may be right the next time.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file has something else in it.
    #[error("{what}: {problem}")]
    Unusable {
        /// What the file should hold.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The HTTP client refuses its settings.
    #[error("HTTP client: {0}")]
    Client(reqwest::Error),
}

/// The content of the identity's files. Compared to see a change.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    ca: Vec<u8>,
    secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Token(Vec<u8>),
    Certificate { chain: Vec<u8>, key: Vec<u8> },
}

impl Identity {
    pub(crate) fn load(tls: &PeerTls, credentials: &Credentials) -> Result<Self, IdentityError> {
        let secret = match credentials {
            Credentials::Token { file } => Secret::Token(read(file)?),
            Credentials::ClientCertificate(files) => Secret::Certificate {
                chain: read(&files.certificate_file)?,
                key: read(&files.key_file)?,
            },
        };
        Ok(Self { ca: read(&tls.ca_file)?, secret })
    }

    /// The `Authorization` header, when the identity is a token.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, IdentityError> {
        let Secret::Token(token) = &self.secret else { return Ok(None) };
        let unusable =
            |problem: &str| IdentityError::Unusable { what: "token", problem: problem.to_owned() };
        let token = token.trim_ascii();
        if token.is_empty() {
            return Err(unusable("the file is empty"));
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .map_err(|_| unusable("it has bytes that no header can carry"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The TLS settings: the configured CA and nothing of the system's.
    pub(crate) fn tls(&self) -> Result<ClientConfig, IdentityError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("CA certificates", &self.ca)? {
            roots.add(certificate).map_err(|error| unusable("CA certificates", error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS versions", error))?
            .with_root_certificates(roots);
        match &self.secret {
            Secret::Token(_) => Ok(builder.with_no_client_auth()),
            Secret::Certificate { chain, key } => {
                let chain = certificates("client certificate", chain)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| unusable("private key", error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable("client certificate", error))
            }
        }
    }
}

fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = list.map_err(|error| unusable(what, error))?;
    if list.is_empty() {
        return Err(unusable(what, "there is none in the file"));
    }
    Ok(list)
}

fn unusable(what: &'static str, problem: impl ToString) -> IdentityError {
    IdentityError::Unusable { what, problem: problem.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path)
        .map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}
