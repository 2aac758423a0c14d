//! Accepts connections of Envoys, with mutual TLS of the latest certificates.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client::verifier;
use super::metrics::{AdsMetrics, RefusalReason};
use crate::secrets::AdsSettings;

/// The time in which a handshake must be complete.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many handshakes there are at once.
const HANDSHAKES: usize = 64;

/// The certificates cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("ads: {0}")]
pub struct TlsError(String);

/// Returns what TLS connections are made with.
pub fn tls(settings: &AdsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let error = |problem: &dyn std::fmt::Display| TlsError(problem.to_string());
    let verifier = verifier(settings).map_err(|problem| error(&problem))?;
    let provider = Arc::new(ring::default_provider());
    let key = settings.pair.private_key().map_err(|problem| error(&problem))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|problem| error(&problem))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(settings.pair.certificates().der().to_vec(), key)
        .map_err(|problem| error(&problem))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would outlive the authority of its certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Accepts connections and sends them on, until nobody takes them any more.
pub async fn accept(
    listener: TcpListener,
    mut settings: watch::Receiver<Arc<AdsSettings>>,
    first: Arc<ServerConfig>,
    connections: mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
    metrics: AdsMetrics,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let mut config = first;
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = settings.changed() => {
                if changed.is_err() { return }
                renew(&mut config, &settings.borrow_and_update());
                continue;
            }
            () = connections.closed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                let (connections, metrics) = (connections.clone(), metrics.clone());
                tokio::spawn(handshake(acceptor, stream, connections, metrics, permit));
            }
            // Such as too many open files: it passes.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client of ADS");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn renew(config: &mut Arc<ServerConfig>, settings: &AdsSettings) {
    match tls(settings) {
        Ok(next) => *config = next,
        Err(error) => tracing::error!(%error, "the last good certificates stay"),
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    connections: mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
    metrics: AdsMetrics,
    _permit: OwnedSemaphorePermit,
) {
    let address = stream.peer_addr().ok();
    // Small answers must not wait for more data.
    drop(stream.set_nodelay(true));
    let error = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return drop(connections.send(Ok(stream)).await),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there was no handshake in time".to_owned(),
    };
    tracing::debug!(?address, error, "refused a client of ADS");
    metrics.refused(RefusalReason::Handshake);
}
