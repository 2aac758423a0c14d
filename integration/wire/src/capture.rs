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

use std::sync::{Arc, Mutex};

use anyhow::Result;
use pki::{CertificateFiles, TlsServer, tls};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

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
    shared: Arc<Shared>,
    server: TlsServer,
}

impl Capture {
    /// Starts it on a free port. Fails if its certificate cannot be read, or no
    /// port is free.
    pub async fn start(options: CaptureOptions) -> Result<Self> {
        let config = tls::server(&options.certificate, Arc::new(certificate::Any::default()))?;
        let CaptureOptions { poll_token, polls, .. } = options;
        let (reads_on, book) = (watch::channel(false).0, Mutex::default());
        let shared = Arc::new(Shared { poll_token, polls, reads_on, book });
        let connections = Arc::clone(&shared);
        let serve = move |stream| serve(stream, Arc::clone(&connections));
        let server = TlsServer::start(0, Arc::new(config), serve).await?;
        Ok(Self { shared, server })
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
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

async fn serve(stream: TlsStream<TcpStream>, shared: Arc<Shared>) -> Result<()> {
    let (_, tls) = stream.get_ref();
    let certificate = tls.peer_certificates().and_then(<[_]>::first);
    let connection = Connection::open(certificate.map(AsRef::as_ref), &shared);
    let is_two = tls.alpn_protocol() == Some(b"h2");
    let _closing = Closing(connection.clone());
    if is_two {
        http2::serve(stream, connection).await
    } else {
        http1::serve(stream, connection).await
    }
}
