//! The users of a test's control plane, and their bearer tokens or client
//! certificates, which are like kubeadm's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pki::{CertificateFiles, Pki};

/// A user of the API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// An administrator (`system:masters`); by token.
    Admin,
    /// The user of kube-controller-manager; by token.
    ControllerManager,
    /// The user of kube-scheduler; by token.
    Scheduler,
    /// A user that may only read discovery; by token.
    Plain,
    /// Anonymous.
    Anonymous,
    /// kubeadm's `kubernetes-admin`, an administrator; by certificate.
    KubernetesAdmin,
    /// The user of kube-controller-manager; by certificate.
    ControllerManagerCertificate,
    /// The node `node-0`; by certificate.
    Node,
    /// A user in two groups that may only read discovery; by certificate.
    PlainCertificate,
}

impl User {
    const WITH_TOKENS: [Self; 4] =
        [Self::Admin, Self::ControllerManager, Self::Scheduler, Self::Plain];

    const WITH_CERTIFICATES: [Self; 4] = [
        Self::KubernetesAdmin,
        Self::ControllerManagerCertificate,
        Self::Node,
        Self::PlainCertificate,
    ];

    /// Returns the bearer token, if any.
    pub fn token(self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("admin-token"),
            Self::ControllerManager => Some("controller-manager-token"),
            Self::Scheduler => Some("scheduler-token"),
            Self::Plain => Some("plain-token"),
            Self::Anonymous
            | Self::KubernetesAdmin
            | Self::ControllerManagerCertificate
            | Self::Node
            | Self::PlainCertificate => None,
        }
    }

    /// Returns the `Authorization` header, if any, for clients that are given headers.
    pub fn authorization(self) -> Option<String> {
        self.token().map(|token| format!("Bearer {token}"))
    }

    /// Returns the user name, as the API server knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ControllerManager | Self::ControllerManagerCertificate => {
                "system:kube-controller-manager"
            }
            Self::Scheduler => "system:kube-scheduler",
            Self::Plain => "plain",
            Self::Anonymous => "system:anonymous",
            Self::KubernetesAdmin => "kubernetes-admin",
            Self::Node => "system:node:node-0",
            Self::PlainCertificate => "plain-certificate",
        }
    }

    /// Returns the groups that the token or the certificate names.
    pub fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Admin | Self::KubernetesAdmin => &["system:masters"],
            Self::Node => &["system:nodes"],
            Self::PlainCertificate => &["developers", "team a, night shift"],
            Self::ControllerManager
            | Self::ControllerManagerCertificate
            | Self::Scheduler
            | Self::Plain
            | Self::Anonymous => &[],
        }
    }

    /// Returns the name of its files.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ControllerManager => "system-kube-controller-manager",
            Self::Scheduler => "system-kube-scheduler",
            Self::Plain => "plain",
            Self::Anonymous => "anonymous",
            Self::KubernetesAdmin => "kubernetes-admin",
            Self::ControllerManagerCertificate => "controller-manager",
            Self::Node => "kubelet",
            Self::PlainCertificate => "plain-certificate",
        }
    }

    /// Returns the client certificate, if any, that `pki` issued when the control
    /// plane started.
    pub(super) fn certificate(self, pki: &Pki) -> Option<CertificateFiles> {
        Self::WITH_CERTIFICATES.contains(&self).then(|| pki.issued(self.file()))
    }
}

/// The name of the token file in the control plane's folder.
pub(super) const TOKEN_FILE: &str = "tokens.csv";

/// Writes the file for `--token-auth-file`.
pub(super) fn write_token_file(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for user in User::WITH_TOKENS {
        let (name, groups) = (user.name(), user.groups().join(","));
        let Some(token) = user.token() else { continue };
        text.push_str(&format!("{token},{name},{name}"));
        // An empty column would be a group without a name.
        if !groups.is_empty() {
            text.push_str(&format!(",\"{groups}\""));
        }
        text.push('\n');
    }
    let path = folder.join(TOKEN_FILE);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Issues the certificates of all users that have one.
pub(super) fn issue_certificates(pki: &Pki) -> Result<()> {
    for user in User::WITH_CERTIFICATES {
        pki.client(user.file(), user.name(), user.groups())?;
    }
    Ok(())
}
