//! Reads the files once a second, and compares their content rather than their
//! times, for the reason that `reload.rs` gives.

use std::sync::Arc;

use tokio::sync::watch;

use super::keeper::{Keeper, Read, authorities, next_look, pair};
use super::metrics::{SecretLabel, SecretMetrics};
use super::{Secrets, Settings};
use crate::certificates::KeyPair;
use crate::config::{Config, check_front_proxy};

/// Follows the configuration and the files that it names.
pub struct Watcher {
    configs: watch::Receiver<Arc<Config>>,
    settings: watch::Sender<Arc<Settings>>,
    keeper: Keeper,
}

impl Watcher {
    /// Returns a watcher that sends settings to `settings`, which has those of the start.
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        settings: watch::Sender<Arc<Settings>>,
        metrics: SecretMetrics,
    ) -> Self {
        Self { configs, settings, keeper: Keeper::new(metrics) }
    }

    /// Runs until the sender of configurations is dropped, or no receiver is left.
    pub async fn run(mut self) {
        loop {
            let config = self.configs.borrow_and_update().clone();
            let last = self.settings.borrow().clone();
            let secrets = tokio::task::block_in_place(|| self.look(&config, &last.secrets));
            self.show(&secrets);
            let next = Settings { config, secrets };
            if next != *last {
                self.settings.send_replace(Arc::new(next));
            }
            if !next_look(&mut self.configs, &self.settings).await {
                return;
            }
        }
    }

    fn look(&mut self, config: &Config, last: &Secrets) -> Secrets {
        use SecretLabel::{ClientCa, FrontProxy, Listener, PeerCa};
        let client_ca = config.client_ca_file.as_ref();
        let client_ca = Read::of(client_ca, |file| authorities(file, last.client_ca.as_ref()));
        let listener = config.listener_tls.as_ref();
        let listener = Read::of(listener, |files| pair(files, last.listener.as_ref()));
        let front_proxy = config.front_proxy.as_ref();
        let front_proxy = Read::of(front_proxy, |files| pair(files, last.front_proxy.as_ref()));
        // Neither of the two is used, whichever is new.
        let clash = match (&client_ca, &front_proxy, &config.front_proxy) {
            (Read::Usable(clients), Read::Usable(pair), Some(files)) => {
                check_front_proxy(clients, pair, files).err()
            }
            _ => None,
        };
        let (client_ca, front_proxy) = match clash {
            Some(error) => (Read::Unusable(error.clone()), Read::Unusable(error)),
            None => (client_ca, front_proxy),
        };
        let peer_ca = Some(&config.peer_tls.ca_file);
        let peer_ca = Read::of(peer_ca, |file| authorities(file, Some(&last.peer_ca)));
        Secrets {
            listener: self.keeper.good(Listener, listener, last.listener.as_ref()),
            client_ca: self.keeper.good(ClientCa, client_ca, last.client_ca.as_ref()),
            front_proxy: self.keeper.good(FrontProxy, front_proxy, last.front_proxy.as_ref()),
            peer_ca: self
                .keeper
                .good(PeerCa, peer_ca, Some(&last.peer_ca))
                .unwrap_or_else(|| last.peer_ca.clone()),
        }
    }

    fn show(&self, secrets: &Secrets) {
        let expiry = |pair: &KeyPair| pair.certificates().expiry();
        self.keeper.metrics.expires(SecretLabel::Listener, secrets.listener.as_ref().map(expiry));
        self.keeper
            .metrics
            .expires(SecretLabel::FrontProxy, secrets.front_proxy.as_ref().map(expiry));
    }
}

#[cfg(test)]
mod tests;
