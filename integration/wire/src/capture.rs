//! A server that captures what arrives, byte for byte and connection by
//! connection, as an API server behind Envoy sees it.
//!
//! ```text
//!   Envoy ──────▶ Capture ── requests ──▶ CapturedRequest, CapturedRequest, …
//!   companion ──▶          ── its polls ─▶ ReplayPeer
//! ```
//!
//! - It asks for a client certificate, accepts any or none, and notes it.
//! - It reads HTTP/1.1 from the raw bytes, as leniently as a server can, so that
//!   it sees a smuggled request; and HTTP/2 from raw frames, so that nothing is
//!   normalized.
//! - A request can prescribe its answer by the header [`ANSWER`].
//! - A fake API server answers the companion's polls, known by its token; they
//!   are not captured.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use pki::CertificateFiles;
use pki::tls;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;

mod certificate;
mod connection;
mod http1;
mod http2;
mod polls;
mod request;

pub use connection::ANSWER;
use connection::{Closing, Connection, Shared};
pub use request::{CapturedRequest, Protocol};

/// How to start a capture.
#[derive(Debug)]
pub struct CaptureOptions {
    /// Its server certificate.
    pub certificate: CertificateFiles,
    /// The bearer token of the companion.
    pub poll_token: String,
    /// The client of the server that answers the companion.
    pub polls: Client,
}

/// A capturing server; dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Capture {
    port: u16,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Capture {
    /// Starts it on a free port. Fails if its certificate cannot be read, or no
    /// port is free.
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

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the requests that have arrived so far.
    pub fn requests(&self) -> Vec<CapturedRequest> {
        self.shared.book(|book| book.requests.clone())
    }

    /// Returns the requests for which `wanted` returns true.
    pub fn requests_of(&self, wanted: impl Fn(&CapturedRequest) -> bool) -> Vec<CapturedRequest> {
        self.shared.book(|book| book.requests.iter().filter(|&of| wanted(of)).cloned().collect())
    }

    /// Whether the bodies of `late` answers are read.
    pub fn read_on(&self, reads: bool) {
        self.shared.reads_on.send_replace(reads);
    }

    /// Returns whether this connection is still open.
    pub fn is_open(&self, connection: u64) -> bool {
        self.shared.book(|book| book.open.contains(&connection))
    }

    /// Returns whether a connection with a captured request is open.
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
