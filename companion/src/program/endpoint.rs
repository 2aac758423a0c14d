//! HTTP endpoints: one on loopback, and another one for other hosts if the configuration has it.

use std::io;
use std::net::SocketAddr;

use axum::{Router, middleware};
use tokio::net::TcpListener;

use super::host;
use super::http::{Limits, serve};
use super::tasks::Tasks;

/// The system refuses an address.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {source}")]
pub struct BindError {
    field: &'static str,
    source: io::Error,
}

/// Addresses that are bound.
pub struct Endpoints {
    listener: TcpListener,
    metrics: Option<TcpListener>,
}

impl Endpoints {
    /// Binds the addresses of the fields `listen` and `metricsListen`.
    ///
    /// # Errors
    /// The system refuses an address; the text names the field.
    pub async fn bind(
        listen: SocketAddr,
        metrics_listen: Option<SocketAddr>,
    ) -> Result<Self, BindError> {
        let listener = bind("listen", listen).await?;
        let metrics = match metrics_listen {
            Some(address) => Some(bind("metricsListen", address).await?),
            None => None,
        };
        Ok(Self { listener, metrics })
    }

    /// Serves everything on loopback, to requests that name this host, and health and metrics to other
    /// hosts, under whatever name.
    pub fn start(self, all: Router, health: Router, tasks: &mut Tasks) {
        let all = all.layer(middleware::from_fn(host::check));
        tasks.add("endpoint", serve(self.listener, all, Limits::LOOPBACK));
        if let Some(listener) = self.metrics {
            tasks.add("metrics endpoint", serve(listener, health, Limits::OTHER_HOSTS));
        }
    }
}

async fn bind(field: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { field, source })
}
