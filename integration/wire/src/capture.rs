//! A peer that writes down what arrives, byte for byte and connection by
//! connection: what an API server behind Envoy gets to see.
//!
//! ```text
//!   Envoy ──────▶ Capture ── requests ──▶ CapturedRequest, CapturedRequest, …
//!   companion ──▶          ── its polls ─▶ ReplayPeer
//! ```
//!
//! - It asks for a client certificate, takes any and none, and notes it.
//! - It reads HTTP/1.1 out of the raw bytes, as forgivingly as a server can, so
//!   that a request smuggled behind another is seen as a request; and HTTP/2
//!   out of raw frames, so that nothing is normalised.
//! - A request may prescribe its answer by the header [`ANSWER`].
//! - The companion's polls, known by its token, are answered by a replaying
//!   peer and not written down.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use pki::CertificateFiles;
use pki::tls;

mod certificate;
mod connection;
mod http1;
mod http2;
mod polls;
mod request;

pub use connection::ANSWER;
use connection::{Closing, Connection, Shared};
pub use request::{CapturedRequest, Protocol};

/// What the capture needs.
#[derive(Debug)]
pub struct CaptureOptions {
    /// Its server certificate.
    pub certificate: CertificateFiles,
    /// The bearer token of the companion.
    pub poll_token: String,
    /// Who answers the companion.
    pub polls: Client,
}

/// A recording peer; dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Capture {
    port: u16,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Capture {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// When its certificate cannot be read, or no port is free.
    pub async fn start(options: CaptureOptions) -> Result<Self> {
        let presented = tls::server(&options.certificate)?.cert_resolver.clone();
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(certificate::Any::default()))
            .with_cert_resolver(presented);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let CaptureOptions { poll_token, polls, .. } = options;
        let (reads_on, book) = (watch::channel(false).0, Mutex::default());
        let shared = Arc::new(Shared { poll_token, polls, reads_on, book });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting: accepting.abort_handle() })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has arrived so far.
    pub fn requests(&self) -> Vec<CapturedRequest> {
        self.shared.book(|book| book.requests.clone())
    }

    /// The requests that `wanted` is true of.
    pub fn requests_of(&self, wanted: impl Fn(&CapturedRequest) -> bool) -> Vec<CapturedRequest> {
        self.shared.book(|book| book.requests.iter().filter(|&of| wanted(of)).cloned().collect())
    }

    /// Whether the bodies of `late` answers are read.
    pub fn read_on(&self, reads: bool) {
        self.shared.reads_on.send_replace(reads);
    }

    /// Whether this connection is open still.
    pub fn is_open(&self, connection: u64) -> bool {
        self.shared.book(|book| book.open.contains(&connection))
    }

    /// Whether a connection on which something was written down is open.
    pub fn is_recording(&self) -> bool {
        self.shared
            .book(|book| book.requests.iter().any(|record| book.open.contains(&record.connection)))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; its connections go with it.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let serve = serve(stream, acceptor.clone(), Arc::clone(&shared));
                    connections.spawn(async move {
                        if let Err(error) = serve.await {
                            tracing::debug!(%error, "a connection ended");
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "cannot accept"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await.context("no TLS")?;
    let (_, tls) = stream.get_ref();
    let certificate = tls.peer_certificates().and_then(<[_]>::first);
    let connection = Connection::open(certificate.map(AsRef::as_ref), &shared);
    let is_two = tls.alpn_protocol() == Some(b"h2");
    let closing = Closing(connection.clone());
    let served = if is_two {
        http2::serve(stream, connection).await
    } else {
        http1::serve(stream, connection).await
    };
    drop(closing);
    served
}
