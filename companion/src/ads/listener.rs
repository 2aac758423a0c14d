//! Accepts connections of Envoys, with mutual TLS of the latest certificates.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::client::{Client, verifier};
use super::connection::{Connection, Slots};
use super::metrics::{AdsMetrics, RefusalReason};
use crate::places::{Most, Place, Places};
use crate::secrets::AdsSettings;

/// The time in which a handshake must be complete.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// The most handshakes at once. Many Envoys can be behind one address.
const HANDSHAKES: Most = Most { all: 1024, of_one: 128 };

/// Where connections go, and what they count for.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub connections: mpsc::Sender<io::Result<Connection>>,
    pub slots: Slots,
    pub metrics: AdsMetrics,
}

/// The certificates cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("ads: {0}")]
pub struct TlsError(String);

/// Returns what TLS connections are made with.
pub fn tls(settings: &AdsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let error = |problem: &dyn Display| TlsError(problem.to_string());
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

/// Accepts connections and sends them on, until nobody receives them.
pub async fn accept(
    listener: TcpListener,
    mut settings: watch::Receiver<Arc<AdsSettings>>,
    first: Arc<ServerConfig>,
    accepted: Accepted,
) {
    let handshakes = Places::new(HANDSHAKES);
    let mut config = first;
    loop {
        let next = tokio::select! {
            next = listener.accept() => next,
            changed = settings.changed() => {
                if changed.is_err() { return }
                renew(&mut config, &settings.borrow_and_update());
                continue;
            }
            () = accepted.connections.closed() => return,
        };
        match next {
            Ok((stream, address)) => {
                let Some(permit) = handshakes.take(address.ip()) else {
                    tracing::debug!(%address, "refused a client of ADS: too many handshakes");
                    accepted.metrics.refused(RefusalReason::Limit);
                    continue;
                };
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                let settings = Arc::clone(&settings.borrow());
                tokio::spawn(handshake(acceptor, stream, settings, accepted.clone(), permit));
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
        Err(error) => tracing::error!(
            %error,
            "cannot load the ADS certificates: the last good ones stay in use"
        ),
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    settings: Arc<AdsSettings>,
    accepted: Accepted,
    permit: Place,
) {
    let address = stream.peer_addr().ok();
    // Small answers must not wait for more data.
    drop(stream.set_nodelay(true));
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(&accepted, address, &error),
        Err(late) => return refuse(&accepted, address, &late),
    };
    drop(permit);
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let client = Client::new(Arc::new(chain));
    let Some(slot) = accepted.slots.take(client.has_allowed_name(&settings)) else {
        let names = client.names;
        tracing::warn!(?address, ?names, "refused a client of ADS: too many connections");
        return accepted.metrics.refused(RefusalReason::Limit);
    };
    drop(accepted.connections.send(Ok(Connection::new(stream, client, slot))).await);
}

fn refuse(accepted: &Accepted, address: Option<SocketAddr>, error: &dyn Display) {
    tracing::debug!(?address, %error, "refused a client of ADS: its handshake failed");
    accepted.metrics.refused(RefusalReason::Handshake);
}
