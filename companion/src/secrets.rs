//! The certificates and keys that are published for Envoy.
//!
//! ```text
//!  config ─▶ Watcher ────(every second: read, check)──▶ Settings ─▶ publish
//!              ▲  files
//!  main file ─▶ AdsWatcher ─────────(the same)──▶ AdsSettings ─▶ ads
//! ```
//!
//! A rotation replaces the two files of a pair one after the other. In between they do not match.
//! Then, and whenever a file is missing or invalid, the last good secret stays.

mod ads;
mod keeper;
pub mod metrics;
mod watcher;

use std::sync::Arc;

use crate::certificates::{Certificates, FileError, KeyPair};
use crate::config::Config;
use crate::xds;

pub use ads::{AdsSettings, AdsWatcher};
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
        let client_ca = config.client_ca_file.as_ref();
        let secrets = Secrets {
            listener: config.listener_tls.as_ref().map(KeyPair::read).transpose()?,
            client_ca: client_ca.map(|file| Certificates::read(file)).transpose()?,
            front_proxy: config.front_proxy.as_ref().map(KeyPair::read).transpose()?,
            peer_ca: Certificates::read(&config.peer_tls.ca_file)?,
        };
        Ok(Self { config, secrets })
    }

    /// Returns the name of the secret that twins present. `None` without a front proxy. An
    /// Envoy that reads its own certificate knows it by a fixed name.
    pub fn front_proxy(&self) -> Option<String> {
        let own = self.config.front_proxy_secret.as_ref();
        let pair = self.secrets.front_proxy.as_ref();
        let name = pair.map(|pair| self.front_proxy_name(pair));
        name.or_else(|| own.map(|_| xds::FRONT_PROXY.to_owned()))
    }

    /// Returns the name of the secret with this front-proxy certificate.
    pub fn front_proxy_name(&self, pair: &KeyPair) -> String {
        if self.config.envoy.fixed_clusters {
            xds::FRONT_PROXY.to_owned()
        } else {
            xds::front_proxy_name(pair)
        }
    }

    /// Returns the name of the secret that verifies the peers.
    pub fn peer_ca_name(&self) -> String {
        if self.config.envoy.fixed_clusters {
            xds::PEER_CA.to_owned()
        } else {
            xds::peer_ca_name(self.config.name(), &self.secrets.peer_ca)
        }
    }
}
