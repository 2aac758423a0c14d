//! The clients for the API servers, kept from one round to the next.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use rustls::ClientConfig;

use super::client::{ApiServerClient, Limits};
use super::credentials::{Credentials, CredentialsError, unusable};
use crate::config::{Config, MAX_PEERS, Peer};

/// The clients of one task.
#[derive(Default)]
pub struct Clients {
    current: Option<Current>,
    /// Why the credentials cannot be used; logged once.
    fault: Option<String>,
}

/// Clients with the same configuration and credentials.
pub struct Current {
    config: Arc<Config>,
    credentials: Credentials,
    tls: ClientConfig,
    authorization: Option<HeaderValue>,
    by_address: HashMap<SocketAddr, ApiServerClient>,
}

impl Clients {
    /// Reads the credentials' files. Returns the clients so far, or none yet if
    /// the credentials or the configuration changed. Credentials that cannot be
    /// used are logged with whom they are for, and the earlier ones stay.
    ///
    /// # Errors
    /// The credentials cannot be used, and there are no earlier ones.
    pub fn refresh(
        &mut self,
        config: &Arc<Config>,
        peer: impl Display,
    ) -> Result<&mut Current, CredentialsError> {
        let read = Credentials::load(&config.peer_tls, &config.credentials);
        let next = match (read, self.current.take()) {
            (Ok(credentials), Some(kept))
                if Arc::ptr_eq(&kept.config, config) && kept.credentials == credentials =>
            {
                self.log(None, peer);
                kept
            }
            (read, kept) => match read.and_then(|credentials| Current::new(config, credentials)) {
                Ok(next) => {
                    self.log(None, peer);
                    next
                }
                Err(error) => {
                    self.log(Some(error.to_string()), peer);
                    kept.ok_or(error)?
                }
            },
        };
        Ok(self.current.insert(next))
    }

    /// Returns the clients of the last call of [`Self::refresh`].
    pub fn current(&mut self) -> Option<&mut Current> {
        self.current.as_mut()
    }

    /// Logs a change of the fault.
    fn log(&mut self, fault: Option<String>, peer: impl Display) {
        if fault == self.fault {
            return;
        }
        match &fault {
            Some(error) => tracing::warn!(%peer, error, "credentials cannot be used"),
            None => tracing::info!(%peer, "credentials can be used again"),
        }
        self.fault = fault;
    }
}

impl Current {
    /// Returns the client for a peer. `limits` must be the same in every call.
    pub fn get(
        &mut self,
        peer: &Peer,
        limits: Limits,
    ) -> Result<ApiServerClient, CredentialsError> {
        if let Some(client) = self.by_address.get(&peer.address) {
            return Ok(client.clone());
        }
        // Most are of peers that left.
        if self.by_address.len() >= MAX_PEERS {
            self.by_address.clear();
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
