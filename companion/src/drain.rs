//! Takes an Envoy out of service, so that no request fails:
//!
//! 1. The health check fails. Nothing else changes.
//! 2. When whoever sends clients here has noticed, responses ask clients to reconnect, so that they
//!    reach another Envoy. At the end of the drain time Envoy stops listening.
//! 3. When all connections have ended, or the time to linger is over, this is done. The rest is
//!    mostly watches, which clients restart.
//!
//! What stops Envoy runs it before. It is safe to run it twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, sleep};

use crate::causes::causes;

/// The connection managers that serve no clients of a control plane.
const OTHERS: [&str; 3] = ["admin", "health", "metrics"];

/// How long Envoy's admin interface may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often the connections are counted.
const PACE: Duration = Duration::from_secs(1);

/// How long each step takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// What a load balancer or the endpoints of a Service need to notice.
    pub notice: Duration,
    /// Envoy's `--drain-time-s`.
    pub drain: Duration,
    /// How long to wait for the connections that are left, at most.
    pub linger: Duration,
}

/// Why Envoy was not taken out of service. It serves on, if it runs.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Its admin interface does not answer, or answers with an error status.
    #[error("{method} {url}: {}", causes(.source))]
    Admin { method: Method, url: String, source: reqwest::Error },
    /// The HTTP client cannot be created.
    #[error("HTTP client: {0}")]
    Client(reqwest::Error),
    /// The HTTP client's TLS configuration, which is not used, cannot be created.
    #[error("HTTP client: {0}")]
    Tls(#[from] rustls::Error),
}

/// Takes the Envoy with this admin interface out of service.
pub async fn drain(admin: SocketAddr, times: Times) -> Result<(), DrainError> {
    let admin = Admin { address: admin, client: client()? };
    admin.ask(Method::POST, "/healthcheck/fail").await?;
    tracing::info!(seconds = times.notice.as_secs_f64(), "the health check fails");
    sleep(times.notice).await;
    admin.ask(Method::POST, "/drain_listeners?graceful").await?;
    let connections = admin.connections().await?;
    tracing::info!(connections, seconds = times.drain.as_secs_f64(), "clients are asked to leave");
    sleep(times.drain).await;
    let end = Instant::now() + times.linger;
    let left = loop {
        let connections = admin.connections().await?;
        if connections == 0 || Instant::now() >= end {
            break connections;
        }
        sleep(PACE).await;
    };
    tracing::info!(connections = left, "drained");
    Ok(())
}

/// reqwest wants a TLS configuration, also of a client that talks to loopback only.
fn client() -> Result<Client, DrainError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Client::builder().no_proxy().tls_backend_preconfigured(tls).build().map_err(DrainError::Client)
}

struct Admin {
    address: SocketAddr,
    client: Client,
}

impl Admin {
    /// Returns the number of clients' connections.
    async fn connections(&self) -> Result<u64, DrainError> {
        let path = "/stats?filter=%5Ehttp%5C.%5B%5E.%5D%2B%5C.downstream_cx_active%24";
        Ok(connections_of(&self.ask(Method::GET, path).await?))
    }

    async fn ask(&self, method: Method, path: &str) -> Result<String, DrainError> {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method.clone(), &url).timeout(TIMEOUT);
        let answer = async { request.send().await?.error_for_status()?.text().await };
        answer.await.map_err(|source| DrainError::Admin {
            method,
            url,
            source: source.without_url(),
        })
    }
}

/// Sums up lines such as `http.kubernetes.downstream_cx_active: 3`.
fn connections_of(stats: &str) -> u64 {
    let of_clients = stats.lines().filter_map(|line| {
        let (name, count) = line.split_once(": ")?;
        let manager = name.strip_prefix("http.")?.split('.').next()?;
        (!OTHERS.contains(&manager)).then(|| count.parse::<u64>().ok()).flatten()
    });
    of_clients.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_of_control_planes_count() {
        let stats = "http.admin.downstream_cx_active: 1\nhttp.blue.downstream_cx_active: 2\n\
                     http.green.downstream_cx_active: 3\nhttp.health.downstream_cx_active: 4\n\
                     http.metrics.downstream_cx_active: 5\n";
        assert_eq!(connections_of(stats), 5);
        assert_eq!(connections_of(""), 0);
    }
}
