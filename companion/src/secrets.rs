//! The certificates and keys that are published for Envoy.
//!
//! ```text
//!  config ─▶ Watcher ──(every second: read, check)──▶ Settings ─▶ publish
//!              ▲  files
//! ```
//!
//! A rotation replaces the two files of a pair one after the other. In between they do not match.
//! Then, and whenever a file is missing or invalid, the last good secret stays.

pub mod metrics;
mod watcher;

use std::sync::Arc;

use crate::certificates::{Certificates, FileError, KeyPair};
use crate::config::{AdsServer, Config};
use crate::xds;

pub use watcher::Watcher;

/// The last good secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// The certificate that Envoy presents to its clients.
    pub listener: Option<KeyPair>,
    /// The authorities that verify the clients' certificates.
    pub client_ca: Option<Certificates>,
    /// The certificate that Envoy presents to the peers on behalf of clients with a certificate.
    pub front_proxy: Option<KeyPair>,
    /// The authorities that verify the peers' certificates.
    pub peer_ca: Certificates,
    /// What the companion needs to serve Envoys over ADS.
    pub ads: Option<AdsSecrets>,
}

/// The companion's certificate as an ADS server, and the authorities that verify the Envoys'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdsSecrets {
    pub pair: KeyPair,
    pub client_ca: Certificates,
}

/// A configuration with the content of its secrets' files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub config: Arc<Config>,
    pub secrets: Secrets,
}

impl Settings {
    /// Reads the files that a configuration names.
    pub fn read(config: Arc<Config>) -> Result<Self, FileError> {
        let listener = config.listener_tls.as_ref();
        let client_ca = listener.and_then(|listener| listener.client_ca_file.as_ref());
        let secrets = Secrets {
            listener: listener.map(|listener| KeyPair::read(&listener.pair)).transpose()?,
            client_ca: client_ca.map(|file| Certificates::read(file)).transpose()?,
            front_proxy: config.front_proxy.as_ref().map(KeyPair::read).transpose()?,
            peer_ca: Certificates::read(&config.peer_tls.ca_file)?,
            ads: config.ads.as_ref().map(AdsSecrets::read).transpose()?,
        };
        Ok(Self { config, secrets })
    }

    /// Returns the name of the secret that twins present. `None` without a front proxy. An
    /// Envoy that reads its own certificate knows it by a fixed name.
    pub fn front_proxy(&self) -> Option<String> {
        let own = self.config.ads.as_ref().and_then(|ads| ads.front_proxy_secret.as_ref());
        let pair = self.secrets.front_proxy.as_ref();
        pair.map(xds::front_proxy_name).or_else(|| own.map(|_| xds::FRONT_PROXY.to_owned()))
    }
}

impl AdsSecrets {
    fn read(server: &AdsServer) -> Result<Self, FileError> {
        let client_ca = Certificates::read(&server.client_ca_file)?;
        Ok(Self { pair: KeyPair::read(&server.pair)?, client_ca })
    }
}
