//! The clients for several API servers, kept from one round to the next.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::client::{ApiServerClient, Limits};
use super::credentials::{Credentials, CredentialsError};
use crate::config::{Config, Peer};

/// Clients with the same configuration and credentials.
pub(crate) struct Clients {
    config: Arc<Config>,
    credentials: Credentials,
    by_address: HashMap<SocketAddr, ApiServerClient>,
}

impl Clients {
    /// Returns `kept`, or no clients yet if the configuration or the content of
    /// the credentials' files changed. An error leaves `kept` as it is.
    pub(crate) fn refresh<'k>(
        kept: &'k mut Option<Self>,
        config: &Arc<Config>,
    ) -> Result<&'k mut Self, CredentialsError> {
        let credentials = Credentials::load(&config.peer_tls, &config.credentials)?;
        let current = |clients: &Self| {
            Arc::ptr_eq(&clients.config, config) && clients.credentials == credentials
        };
        if !kept.as_ref().is_some_and(current) {
            *kept = None;
        }
        Ok(kept.get_or_insert_with(|| Self {
            config: Arc::clone(config),
            credentials,
            by_address: HashMap::new(),
        }))
    }

    /// Returns the client for a peer. `limits` must be the same in every call.
    pub(crate) fn get(
        &mut self,
        peer: &Peer,
        limits: Limits,
    ) -> Result<ApiServerClient, CredentialsError> {
        if let Some(client) = self.by_address.get(&peer.address) {
            return Ok(client.clone());
        }
        let server_name = &self.config.peer_tls.server_name;
        let client = ApiServerClient::new(peer, server_name, limits, &self.credentials)?;
        self.by_address.insert(peer.address, client.clone());
        Ok(client)
    }
}
