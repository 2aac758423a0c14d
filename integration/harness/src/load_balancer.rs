//! A load balancer host: the companion, and Envoy with `envoy-config/load-balancer/envoy.yaml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pki::Pki;
use pki::ports;
use wire::client::Client;

use crate::artifacts::integration_folder;
use crate::companion::{Companion, CompanionOptions};
use crate::envoy::{Envoy, EnvoyOptions};
use crate::stack::StackOptions;
use crate::wait;

/// The shipped values that would not work in a test that runs beside others.
const PORTS: [&str; 3] = ["port_value: 6443", "port_value: 9901", "port_value: 9903"];
/// Not every machine that runs tests has IPv6.
const ADDRESS: &str = "address: \"::\", ipv4_compat: true";
const PUBLISHED_FOLDER: &str = "/var/lib/mixed-version-proxy/envoy";

/// A running load balancer host; dropping it ends both programs.
#[derive(Debug)]
pub struct LoadBalancer {
    /// The companion.
    pub companion: Companion,
    /// Envoy.
    pub envoy: Envoy,
    health: Client,
    port: u16,
}

/// Returns a file that is shipped for such a host.
pub fn shipped(file: &str) -> PathBuf {
    integration_folder().join("../envoy-config/load-balancer").join(file)
}

impl LoadBalancer {
    /// Starts the companion of these options, waits for a map, and starts Envoy with these
    /// arguments. Texts of Envoy's configuration are replaced as the options say. Fails if either
    /// does not become ready.
    pub async fn start(mut options: StackOptions, arguments: &[&str]) -> Result<Self> {
        if options.front_proxy.is_none() {
            let pki = Pki::create(options.folder.join("front-proxy"))?;
            options.front_proxy = Some(pki.client("client", "front-proxy-client", &[])?);
        }
        let port = ports::free_port()?;
        let mut companion = Companion::start(CompanionOptions {
            config: options.companion_config(port)?,
            port,
            folder: options.folder.join("companion"),
        })
        .await?;
        companion.wait_ready().await?;

        let published = options.published();
        let published = published.to_str().context("the folder is not UTF-8")?;
        let mut envoy =
            EnvoyOptions::from_file(&shipped("envoy.yaml"), options.folder.join("envoy"))?
                .concurrency(options.concurrency)
                .replacing(ADDRESS, "address: 127.0.0.1")?
                .replacing(PUBLISHED_FOLDER, published)?;
        for port in PORTS {
            envoy = envoy.replacing(port, "port_value: 0")?;
        }
        for (from, to) in &options.replaced {
            envoy = envoy.replacing(from, to)?;
        }
        for argument in arguments {
            envoy = envoy.argument(*argument);
        }
        let envoy = Envoy::start(envoy).await?;
        let health = Client::plain(envoy.listener_port("health").await?)?;
        let port = envoy.listener_port("kubernetes").await?;
        Ok(Self { companion, envoy, health, port })
    }

    /// Returns the address of the listener that serves the control plane.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Returns the same as a URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Returns a client of the listener for health checks.
    pub fn health(&self) -> &Client {
        &self.health
    }

    /// Returns the status that the load balancer in front sees; none if nothing listens.
    pub async fn health_status(&self) -> Option<u16> {
        self.health.get("/healthz").await.ok().map(|answer| answer.status.as_u16())
    }

    /// Waits until Envoy has no connection of a client, and no request. Fails if it has one after
    /// `limit`.
    pub async fn wait_idle(&self, limit: Duration) -> Result<()> {
        wait::until("Envoy to have no clients", limit, async || {
            for name in ["downstream_cx_active", "downstream_rq_active"] {
                let active = self.envoy.stat(&format!("http.kubernetes.{name}")).await?;
                ensure!(active.unwrap_or_default() == 0, "{name} is {active:?}");
            }
            anyhow::Ok(())
        })
        .await
    }
}
