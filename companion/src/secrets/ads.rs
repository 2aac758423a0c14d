//! What the companion needs as an ADS server: its certificate, and the authorities of the Envoys'.

use std::sync::Arc;

use tokio::sync::watch;

use super::keeper::{Keeper, Read, authorities, next_look, pair};
use super::metrics::{SecretLabel, SecretMetrics};
use crate::certificates::{Certificates, FileError, KeyPair};
use crate::config::{AdsServer, MainConfig};

/// The configuration of the server with the content of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdsSettings {
    pub server: AdsServer,
    pub pair: KeyPair,
    pub client_ca: Certificates,
}

impl AdsSettings {
    /// Reads the files that a configuration names.
    pub fn read(server: &AdsServer) -> Result<Self, FileError> {
        let (server, client_ca) = (server.clone(), Certificates::read(&server.client_ca_file)?);
        Ok(Self { pair: KeyPair::read(&server.pair)?, client_ca, server })
    }
}

/// Follows the configuration of the server and the files that it names.
pub struct AdsWatcher {
    configs: watch::Receiver<Arc<MainConfig>>,
    settings: watch::Sender<Arc<AdsSettings>>,
    keeper: Keeper,
}

impl AdsWatcher {
    /// Returns a watcher that sends settings to `settings`, which has those of the start.
    pub fn new(
        configs: watch::Receiver<Arc<MainConfig>>,
        settings: watch::Sender<Arc<AdsSettings>>,
        metrics: SecretMetrics,
    ) -> Self {
        Self { configs, settings, keeper: Keeper::new(metrics) }
    }

    /// Runs until the sender of configurations is dropped, or no receiver is left.
    pub async fn run(mut self) {
        loop {
            let server = self.configs.borrow_and_update().ads.clone();
            let last = self.settings.borrow().clone();
            // A configuration that has no server any more takes effect with a restart.
            if let Some(server) = server {
                let next = tokio::task::block_in_place(|| self.look(server, &last));
                let expiry = next.pair.certificates().expiry();
                self.keeper.metrics.expires(SecretLabel::Ads, Some(expiry));
                if next != *last {
                    self.settings.send_replace(Arc::new(next));
                }
            }
            if !next_look(&mut self.configs, &self.settings).await {
                return;
            }
        }
    }

    fn look(&mut self, server: AdsServer, last: &AdsSettings) -> AdsSettings {
        let read = Read::of(Some(&server.pair), |files| pair(files, Some(&last.pair)));
        let own = self.keeper.good(SecretLabel::Ads, read, Some(&last.pair));
        let read =
            Read::of(Some(&server.client_ca_file), |file| authorities(file, Some(&last.client_ca)));
        let client_ca = self.keeper.good(SecretLabel::AdsClientCa, read, Some(&last.client_ca));
        AdsSettings {
            server,
            pair: own.unwrap_or_else(|| last.pair.clone()),
            client_ca: client_ca.unwrap_or_else(|| last.client_ca.clone()),
        }
    }
}
