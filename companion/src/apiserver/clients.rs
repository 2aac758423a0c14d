//! The clients for the API servers, kept from one round to the next.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use rustls::ClientConfig;

use super::client::{ApiServerClient, Limits};
use super::credentials::{Credentials, CredentialsError, unusable};
use crate::config::{Config, Peer};

/// Clients with the same configuration and credentials.
pub struct Clients {
    config: Arc<Config>,
    credentials: Credentials,
    tls: ClientConfig,
    authorization: Option<HeaderValue>,
    by_address: HashMap<SocketAddr, ApiServerClient>,
}

impl Clients {
    /// Reads the credentials' files. Returns the clients in `kept`, or none yet if
    /// the credentials or the configuration changed. Credentials that cannot be
    /// used are logged with whom they are for, and the earlier ones stay.
    ///
    /// # Errors
    /// The credentials cannot be used, and there are no earlier ones.
    pub fn refresh<'k>(
        kept: &'k mut Option<Self>,
        config: &Arc<Config>,
        peer: impl Display,
    ) -> Result<&'k mut Self, CredentialsError> {
        let read = Credentials::load(&config.peer_tls, &config.credentials);
        let next = match (read, kept.take()) {
            (Ok(credentials), Some(kept))
                if Arc::ptr_eq(&kept.config, config) && kept.credentials == credentials =>
            {
                kept
            }
            (read, kept) => match read.and_then(|credentials| Self::new(config, credentials)) {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%peer, %error, "credentials cannot be used");
                    kept.ok_or(error)?
                }
            },
        };
        Ok(kept.insert(next))
    }

    /// Returns the client for a peer. `limits` must be the same in every call.
    pub fn get(
        &mut self,
        peer: &Peer,
        limits: Limits,
    ) -> Result<ApiServerClient, CredentialsError> {
        if let Some(client) = self.by_address.get(&peer.address) {
            return Ok(client.clone());
        }
        let server_name = &self.config.peer_tls.server_name;
        let (tls, authorization) = (self.tls.clone(), self.authorization.clone());
        let client = ApiServerClient::new(peer, server_name, limits, tls, authorization)
            .map_err(|error| unusable("HTTP client", error))?;
        self.by_address.insert(peer.address, client.clone());
        Ok(client)
    }

    fn new(config: &Arc<Config>, credentials: Credentials) -> Result<Self, CredentialsError> {
        Ok(Self {
            config: Arc::clone(config),
            tls: credentials.tls()?,
            authorization: credentials.authorization()?,
            credentials,
            by_address: HashMap::new(),
        })
    }
}
