//! The credentials that the companion presents to an API server, and the
//! authorities that it trusts.
//!
//! The files are read again in every round: a rotated token or certificate is
//! used at once, and a half-written one is only a failed attempt.

use std::path::Path;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{CredentialFiles, PeerTls};

/// Why the credentials cannot be used. The files may be valid the next time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct CredentialsError {
    /// A file, what it should contain, or who refuses it.
    what: String,
    problem: String,
}

/// The content of the credentials' files. Compared to detect a change.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    ca: Vec<u8>,
    secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Token(Vec<u8>),
    Certificate { chain: Vec<u8>, key: Vec<u8> },
}

impl Credentials {
    pub(super) fn load(tls: &PeerTls, files: &CredentialFiles) -> Result<Self, CredentialsError> {
        let secret = match files {
            CredentialFiles::Token { file } => Secret::Token(read(file)?),
            CredentialFiles::ClientCertificate(files) => Secret::Certificate {
                chain: read(&files.certificate_file)?,
                key: read(&files.key_file)?,
            },
        };
        Ok(Self { ca: read(&tls.ca_file)?, secret })
    }

    /// Returns the `Authorization` header, if the credentials are a token.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        let Secret::Token(token) = &self.secret else { return Ok(None) };
        let token = token.trim_ascii();
        if token.is_empty() {
            return Err(unusable("token", "the file is empty"));
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .map_err(|_| unusable("token", "it contains bytes that are invalid in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Returns the TLS settings, which trust the configured CA and not the system's.
    pub(super) fn tls(&self) -> Result<ClientConfig, CredentialsError> {
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
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = list.map_err(|error| unusable(what, error))?;
    if list.is_empty() {
        return Err(unusable(what, "the file contains none"));
    }
    Ok(list)
}

pub(super) fn unusable(what: impl ToString, problem: impl ToString) -> CredentialsError {
    CredentialsError { what: what.to_string(), problem: problem.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    crate::files::read(path).map_err(|error| unusable(path.display(), error))
}
