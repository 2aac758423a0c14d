//! The users of a test's control plane, and how they prove who they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kubeconfig;
use anyhow::{Context, Result};

/// Somebody who talks to the API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// May do everything (`system:masters`).
    Admin,
    /// The user of kube-controller-manager.
    ControllerManager,
    /// Somebody without any permission but that to read discovery.
    Plain,
    /// Somebody who presents nothing.
    Anonymous,
}

impl User {
    /// The bearer token, if any.
    pub fn token(self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("admin-token"),
            Self::ControllerManager => Some("controller-manager-token"),
            Self::Plain => Some("plain-token"),
            Self::Anonymous => None,
        }
    }

    /// The `Authorization` header, if any, for clients that are given headers.
    pub fn authorization(self) -> Option<String> {
        self.token().map(|token| format!("Bearer {token}"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Plain => "plain",
            Self::Anonymous => "anonymous",
        }
    }

    fn groups(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::ControllerManager | Self::Plain | Self::Anonymous => "",
        }
    }
}

/// The name of the token file in the control plane's folder.
pub(super) const TOKEN_FILE: &str = "tokens.csv";

/// Writes what kube-apiserver reads with `--token-auth-file`.
pub(super) fn write_token_file(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for user in [User::Admin, User::ControllerManager, User::Plain] {
        let (name, groups) = (user.name(), user.groups());
        if let Some(token) = user.token() {
            text.push_str(&format!("{token},{name},{name},\"{groups}\"\n"));
        }
    }
    let path = folder.join(TOKEN_FILE);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a kubeconfig; one file for each user and address.
pub(super) fn write_kubeconfig(
    folder: &Path,
    ca_file: &Path,
    url: &str,
    user: User,
) -> Result<PathBuf> {
    let address: String =
        url.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let (user, token) = (user.name().replace(':', "-"), user.token());
    let path = folder.join(format!("{user}-{address}.kubeconfig"));
    kubeconfig::write(&path, url, ca_file, token)?;
    Ok(path)
}
