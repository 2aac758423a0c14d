//! A connection of a client. It counts as one until it is closed, whether or not the client has a
//! stream on it, and either side can close it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::client::Client;

#[cfg(test)]
mod tests;

/// How many connections clients without an allowed name may have: each is told why it is refused.
const STRANGERS: usize = 64;

/// How many connections there may be. Clones share them.
#[derive(Clone, Debug)]
pub struct Slots {
    clients: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// The other end of a connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub client: Client,
    closed: CancellationToken,
}

/// A connection of a client. Only the task of HTTP/2 polls it, and `closed` wakes that task.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: OwnedSemaphorePermit,
}

impl Slots {
    /// Returns the connections of this many clients. A client that comes back has two for a moment.
    pub fn new(clients: usize) -> Self {
        let slots = |most: usize| Arc::new(Semaphore::new(most));
        Self { clients: slots(clients.saturating_mul(2)), strangers: slots(STRANGERS) }
    }

    /// Takes a connection, of a client that has an allowed name or has none. Returns `None` if there
    /// are too many.
    pub fn take(&self, is_allowed: bool) -> Option<OwnedSemaphorePermit> {
        let slots = if is_allowed { &self.clients } else { &self.strangers };
        Arc::clone(slots).try_acquire_owned().ok()
    }
}

impl Peer {
    /// Closes the connection at once, with everything on its way.
    pub fn hang_up(&self) {
        self.closed.cancel();
    }

    #[cfg(test)]
    pub fn is_hung_up(&self) -> bool {
        self.closed.is_cancelled()
    }
}

impl Connection {
    /// Returns the connection of a client, which takes this slot until it is closed.
    pub fn new(stream: TlsStream<TcpStream>, client: Client, slot: OwnedSemaphorePermit) -> Self {
        let peer = Peer { client, closed: CancellationToken::new() };
        let closed = Box::pin(peer.closed.clone().cancelled_owned());
        Self { stream, peer, closed, _slot: slot }
    }

    /// Fails once the connection is closed from this side.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
