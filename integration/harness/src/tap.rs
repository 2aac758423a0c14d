//! A relay between Envoys and a companion that keeps every byte that Envoys are sent.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use pki::{CertificateFiles, Pki, TlsServer, tls};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Everything that passed towards Envoys.
type Seen = Arc<Mutex<Vec<u8>>>;

/// A relay; dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Tap {
    server: TlsServer,
    seen: Seen,
}

impl Tap {
    /// Starts a relay to the companion at this port. It presents to Envoys what the companion
    /// presents, and to the companion what Envoys present; `pki` signed both. Fails if a file cannot
    /// be read.
    pub async fn start(
        companion: u16,
        pki: &Pki,
        [companion_files, envoy_files]: [&CertificateFiles; 2],
    ) -> Result<Self> {
        let clients = tls::signed_by(Some(&pki.ca_pem()))?;
        let server = Arc::new(tls::server(companion_files, clients)?);
        let client = Arc::new(tls::client(&pki.ca_pem(), Some(envoy_files), &["h2"])?);
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let serve = move |stream| relay(stream, companion, Arc::clone(&client), Arc::clone(&kept));
        Ok(Self { server: TlsServer::start(0, server, serve).await?, seen })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns whether this text was sent to an Envoy.
    pub fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

async fn relay(
    envoy: TlsStream<TcpStream>,
    companion: u16,
    client: Arc<ClientConfig>,
    seen: Seen,
) -> Result<()> {
    let companion = tls::connect_as(companion, &client, "companion").await?;
    let (mut from_envoy, mut to_envoy) = tokio::io::split(envoy);
    let (mut from_companion, mut to_companion) = tokio::io::split(companion);
    let up = tokio::io::copy(&mut from_envoy, &mut to_companion);
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = from_companion.read(&mut buffer).await?;
            let Some(read @ [_, ..]) = buffer.get(..length) else {
                return std::io::Result::Ok(());
            };
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
            to_envoy.write_all(read).await?;
        }
    };
    tokio::select! { _ = up => {}, _ = down => {} }
    Ok(())
}
