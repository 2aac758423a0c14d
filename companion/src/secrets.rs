//! The certificates and keys that are published for Envoy.
//!
//! ```text
//!  config ─▶ Watcher ──(every second: read, check)──▶ Settings ─▶ publish
//!              ▲  files
//! ```
//!
//! Whoever rotates a certificate replaces two files one after the other. In
//! between they do not fit together: then, and whenever a file is missing or
//! broken, the last good secret stays.

mod watcher;

use std::sync::Arc;

use crate::certificates::{Certificates, FileError, KeyPair};
use crate::config::Config;

pub use watcher::Watcher;

/// The last good secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// What Envoy shows its clients.
    pub listener: Option<KeyPair>,
    /// What verifies the clients' certificates.
    pub client_ca: Option<Certificates>,
    /// What Envoy shows the peers on behalf of clients with a certificate.
    pub front_proxy: Option<KeyPair>,
    /// What verifies the peers' certificates.
    pub peer_ca: Certificates,
}

/// A configuration with the secrets that its files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The configuration.
    pub config: Arc<Config>,
    /// The secrets.
    pub secrets: Secrets,
}

impl Settings {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn read(config: Arc<Config>) -> Result<Self, FileError> {
        let listener = config.listener_tls.as_ref();
        let client_ca = listener.and_then(|listener| listener.client_ca_file.as_ref());
        let secrets = Secrets {
            listener: listener.map(|listener| KeyPair::read(&listener.pair)).transpose()?,
            client_ca: client_ca.map(|file| Certificates::read(file)).transpose()?,
            front_proxy: config.front_proxy.as_ref().map(KeyPair::read).transpose()?,
            peer_ca: Certificates::read(&config.peer_tls.ca_file)?,
        };
        Ok(Self { config, secrets })
    }
}

impl Secrets {
    /// Whether clusters made with the one are right for the other.
    #[must_use]
    pub fn same_upstream(&self, other: &Self) -> bool {
        (&self.front_proxy, &self.peer_ca) == (&other.front_proxy, &other.peer_ca)
    }
}
