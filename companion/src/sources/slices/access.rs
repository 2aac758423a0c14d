//! Clients for the API that has the slices. A new one is made after each failure, so that changed
//! files are used, and the next peer is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config as Connection};
use tokio::sync::watch;

use crate::causes::with_causes;
use crate::config::{Access, Config, CredentialFiles};
use crate::facts::Roster;

/// A server that does not answer must not hold up the next attempt.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) struct Accessor {
    access: Access,
    config: Arc<Config>,
    peers: watch::Receiver<Arc<Roster>>,
    /// How long a connection may be silent while something is expected.
    silence: Duration,
    /// How many clients were made: each is for the next peer.
    made: usize,
}

impl Accessor {
    pub(super) fn new(
        access: Access,
        config: Arc<Config>,
        peers: watch::Receiver<Arc<Roster>>,
        silence: Duration,
    ) -> Self {
        Self { access, config, peers, silence, made: 0 }
    }

    /// Returns a client.
    ///
    /// # Errors
    /// Why there is none; the next attempt may succeed.
    pub(super) async fn client(&mut self) -> Result<Client, String> {
        let mut connection = match &self.access {
            Access::Kubeconfig(file) => {
                let read = Kubeconfig::read_from(file);
                let kubeconfig = read.map_err(|error| with_causes(&error))?;
                let options = KubeConfigOptions::default();
                Connection::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| format!("{}: {}", file.display(), with_causes(&error)))?
            }
            Access::InCluster => Connection::incluster().map_err(|error| with_causes(&error))?,
            Access::ThroughPeers(first) => self.through_peer(first)?,
        };
        self.made = self.made.wrapping_add(1);
        connection.connect_timeout = Some(CONNECT);
        connection.read_timeout = Some(self.silence);
        // The source tries again by itself, and says so.
        connection.default_retry = false;
        Client::try_from(connection).map_err(|error| with_causes(&error))
    }

    fn through_peer(&self, first: &[SocketAddr]) -> Result<Connection, String> {
        let roster = self.peers.borrow().clone();
        let mut all: Vec<_> = roster.peers.iter().map(|peer| peer.address).collect();
        for address in first {
            if !all.contains(address) {
                all.push(*address);
            }
        }
        let next = all.get(self.made % all.len().max(1)).ok_or("no peer is known")?;
        let url = format!("https://{next}");
        let url = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let mut connection = Connection::new(url);
        let tls = &self.config.peer_tls;
        connection.tls_server_name = Some(tls.server_name.to_string());
        connection.root_cert_file = Some(tls.ca_file.clone());
        let text = |path: &std::path::Path| Some(path.display().to_string());
        match &self.config.credentials {
            CredentialFiles::Token { file } => connection.auth_info.token_file = text(file),
            CredentialFiles::ClientCertificate(files) => {
                connection.auth_info.client_certificate = text(&files.certificate_file);
                connection.auth_info.client_key = text(&files.key_file);
            }
        }
        Ok(connection)
    }
}
