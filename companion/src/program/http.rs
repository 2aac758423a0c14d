//! Serves HTTP/1.1 to clients that nobody authenticates, within limits.
//!
//! HTTP/2 is not served: a connection would carry 200 requests, and a client with flow-control windows
//! of 0 bytes would have all of their answers held, although it reads all that arrives.

use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use crate::places::{Most, Place, Places};

/// How much of a request's head is read, in bytes, and about as much of an answer is buffered.
const BUFFER: usize = 64 << 10;

/// What the clients of a listener can use up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most connections at once. Those beyond are closed.
    pub connections: Most,
    /// How long a connection may be without a request, and how long the head of one may take. Then
    /// the connection is closed.
    pub head: Duration,
    /// How long a client may leave what was sent to it unread or unacknowledged. Then its connection
    /// is closed: an answer that is not read would keep a stream of events, and its place, for good.
    pub unread: Duration,
}

impl Limits {
    /// All clients have one address there, and each status page has a connection for its events.
    pub const LOOPBACK: Self = Self::new(Most { all: 256, of_one: 256 });

    /// A client that uses all connections of its address does not keep a kubelet at another one from
    /// probing.
    pub const OTHER_HOSTS: Self = Self::new(Most { all: 256, of_one: 32 });

    const fn new(connections: Most) -> Self {
        Self { connections, head: Duration::from_secs(10), unread: Duration::from_secs(30) }
    }
}

/// Serves until it is dropped. Connections that are open then stay until the runtime ends.
pub(super) async fn serve(mut listener: TcpListener, router: Router, limits: Limits) {
    let places = Places::new(limits.connections);
    loop {
        // This one waits while there are too many open files.
        let (stream, address) = Listener::accept(&mut listener).await;
        match places.take(address.ip()) {
            Some(place) => drop(tokio::spawn(converse(stream, router.clone(), limits, place))),
            None => tracing::debug!(%address, "refused a client of HTTP: too many connections"),
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn converse(stream: TcpStream, router: Router, limits: Limits, _place: Place) {
    close_if_unread(&stream, limits.unread);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(BUFFER);
    let service = TowerToHyperService::new(router);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection of HTTP failed");
    }
}

/// Has the kernel close a connection whose client does not read (a zero window), or is away, for so
/// long: `TCP_USER_TIMEOUT` (tcp(7), RFC 5482).
fn close_if_unread(stream: &TcpStream, patience: Duration) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(patience)) {
        tracing::warn!(%error, "cannot limit how long a client may not read");
    }
}

#[cfg(test)]
mod tests;
