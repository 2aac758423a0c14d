//! The TLS server of a peer.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::answer;
use super::peer::Peer;

/// A listening server; dropping it ends it with all connections.
#[derive(Debug)]
pub(super) struct Server {
    port: u16,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(port: u16, tls: Arc<ServerConfig>, peer: Arc<Peer>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(tls), peer));
        Ok(Self { port, task })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it; when this returns, the port is closed.
    pub(super) async fn abort(mut self) {
        self.task.abort();
        // Cancelled is what it is meant to be.
        (&mut self.task).await.ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts until it is aborted; its connections go with it.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, peer: Arc<Peer>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&peer)));
                }
                // Out of file descriptors, or the client left: try the next.
                Err(error) => tracing::warn!(peer = peer.name, %error, "cannot accept"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, peer: Arc<Peer>) {
    stream.set_nodelay(true).ok();
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(peer = peer.name, %error, "no TLS"),
    };
    let name = peer.name.clone();
    let service = service_fn(move |request| answer::answer(Arc::clone(&peer), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(peer = name, %error, "a connection ended");
    }
}
