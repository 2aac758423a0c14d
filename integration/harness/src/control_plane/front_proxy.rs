//! The front proxy's authority and client certificate. They are separate from
//! those of the clients, as kubeadm makes them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use pki::{CertificateFiles, Pki};

/// The front proxy's common name, the only one that the API servers allow.
pub const COMMON_NAME: &str = "front-proxy-client";

/// The front proxy's authority and its client certificate.
#[derive(Debug)]
pub struct FrontProxy {
    pki: Pki,
    certificate: CertificateFiles,
}

impl FrontProxy {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let pki = Pki::create_as(folder, "front-proxy-ca")?;
        let certificate = pki.client(COMMON_NAME, COMMON_NAME, &[])?;
        Ok(Self { pki, certificate })
    }

    /// Returns the client certificate with which a proxy may name the user.
    pub fn certificate(&self) -> &CertificateFiles {
        &self.certificate
    }

    /// Returns the authority's certificate, as a file.
    pub fn ca_file(&self) -> PathBuf {
        self.pki.ca_file()
    }

    /// Returns the authority, to issue more certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the arguments of kube-apiserver for it, as kubeadm sets them. Without the
    /// header names kube-apiserver would not ask for the certificate at all.
    pub(super) fn arguments(&self) -> Vec<String> {
        vec![
            format!("--requestheader-client-ca-file={}", self.ca_file().display()),
            format!("--requestheader-allowed-names={COMMON_NAME}"),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            // Not kubeadm's, but the only way to carry a uid.
            "--requestheader-uid-headers=X-Remote-Uid".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            // For aggregated API servers the API server is a front proxy itself.
            format!("--proxy-client-cert-file={}", self.certificate.certificate.display()),
            format!("--proxy-client-key-file={}", self.certificate.key.display()),
        ]
    }
}
