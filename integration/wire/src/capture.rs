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
use std::sync::{Arc, Mutex, PoisonError};

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
mod http1;
mod http2;
mod polls;
mod request;

pub use request::{CapturedRequest, Protocol};

/// The header by which a request prescribes its answer: a status (101 goes on
/// as a tunnel that swallows all), `echo` for a tunnel of the protocol asked for
/// that gives all back (HTTP/1.1 only), `stream` for a body that goes on until
/// the client leaves, `late` for a 200 with the length of a body that is read
/// once [`Capture::read_on`] says so, or `slow` for a 403 that takes its time
/// before its headers and before the end of its body (HTTP/1.1 only). Without it
/// the answer is 200.
pub const ANSWER: &str = "x-capture-answer";

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

#[derive(Debug)]
struct Shared {
    poll_token: String,
    polls: Client,
    reads_on: watch::Sender<bool>,
    book: Mutex<Book>,
}

/// All that was written down.
#[derive(Debug, Default)]
struct Book {
    requests: Vec<CapturedRequest>,
    connections: u64,
    open: Vec<u64>,
}

/// Where one connection's requests are written down.
#[derive(Debug, Clone)]
struct Connection {
    number: u64,
    certificate: Option<Arc<[u8]>>,
    shared: Arc<Shared>,
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

impl Shared {
    fn book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Connection {
    fn open(certificate: Option<&[u8]>, shared: &Arc<Shared>) -> Self {
        let number = shared.book(|book| {
            book.connections += 1;
            book.open.push(book.connections);
            book.connections
        });
        Self { number, certificate: certificate.map(Arc::from), shared: Arc::clone(shared) }
    }

    /// Writes a request down, and gives where.
    fn record(&self, mut record: CapturedRequest) -> usize {
        record.connection = self.number;
        record.certificate.clone_from(&self.certificate);
        self.shared.book(|book| {
            book.requests.push(record);
            book.requests.len() - 1
        })
    }

    /// Adds what comes after a request's headers.
    fn add(&self, index: usize, add: impl FnOnce(&mut CapturedRequest)) {
        self.shared.book(|book| book.requests.get_mut(index).map(add));
    }

    /// Waits until late bodies are read.
    async fn reads_on(&self) -> Result<()> {
        self.shared.reads_on.subscribe().wait_for(|&reads| reads).await?;
        Ok(())
    }

    fn is_poll(&self, record: &CapturedRequest) -> bool {
        let token = format!("Bearer {}", self.shared.poll_token);
        record.value("authorization") == Some(token.as_bytes())
    }
}

/// Closes the connection's entry however its task ends.
struct Closing(Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        let number = self.0.number;
        self.0.shared.book(|book| book.open.retain(|&open| open != number));
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
