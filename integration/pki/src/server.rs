//! A TLS server on loopback, whose connections end with it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ports::free_port;

/// A listening server; dropping it ends it with all connections.
#[derive(Debug)]
pub struct TlsServer {
    port: u16,
    accepting: JoinHandle<()>,
}

impl TlsServer {
    /// Starts a server on `port` of 127.0.0.1, or a free one if that is 0, which
    /// hands each connection to `serve`. Fails if the port is taken.
    pub async fn start<F>(
        port: u16,
        config: Arc<ServerConfig>,
        serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let port = if port == 0 { free_port()? } else { port };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let acceptor = TlsAcceptor::from(config);
        let accepting = tokio::spawn(accept(listener, move |stream: TcpStream| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                stream.set_nodelay(true)?;
                serve(acceptor.accept(stream).await.context("no TLS")?).await
            }
        }));
        Ok(Self { port, accepting })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it; when this returns, the port is closed.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // Cancellation is intended.
        (&mut self.accepting).await.ok();
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; its connections go with it.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let served = serve(stream);
                    connections.spawn(async move {
                        if let Err(error) = served.await {
                            tracing::debug!("a connection ended: {error:#}");
                        }
                    });
                }
                // Out of file descriptors, or the client left: try the next.
                Err(error) => tracing::warn!(%error, "cannot accept"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
