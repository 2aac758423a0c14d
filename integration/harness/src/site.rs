//! A real control plane with a stack in front of it.
//!
//! ```text
//!   clients ──TLS, token──▶ Envoy + filter ──▶ server-0, server-1, … ──▶ etcd
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use discovery_map::Mode;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use crate::control_plane::{ControlPlane, ServerOptions, User};
use crate::stack::{Stack, StackOptions};

/// Requests that went to each server, by cluster and then by server name.
pub type Landed = BTreeMap<String, BTreeMap<String, u64>>;

/// Where a host's port is in what Envoy's admin says.
const PORT: &str = "/address/socket_address/port_value";

/// A running site; dropping it ends everything.
#[derive(Debug)]
pub struct Site {
    // The first field: Envoy goes before the servers.
    /// Envoy and the companion.
    pub stack: Stack,
    /// The servers.
    pub plane: ControlPlane,
}

impl Site {
    /// Starts servers with these options, and everything in front of them.
    /// Fails if something does not become ready.
    pub async fn start(servers: Vec<ServerOptions>) -> Result<Self> {
        Self::start_with(servers, |_| {}).await
    }

    /// The same, where one version answers, as shipped. Fails if something does
    /// not become ready.
    pub async fn start_as_shipped(servers: Vec<ServerOptions>) -> Result<Self> {
        Self::start_with(servers, |options| options.answering_version = None).await
    }

    /// The same in a mode of the filter. Fails if something does not become ready.
    pub async fn start_in_mode(servers: Vec<ServerOptions>, mode: Mode) -> Result<Self> {
        let in_mode = |options: &mut StackOptions| {
            options.answering_version = None;
            options.companion = json!({ "mode": mode });
        };
        Self::start_with(servers, in_mode).await
    }

    /// The same where components of Kubernetes reach older servers too. Fails if something does not
    /// become ready.
    pub async fn start_ignoring_skew_policy(servers: Vec<ServerOptions>) -> Result<Self> {
        let ignoring = |options: &mut StackOptions| {
            options.companion = json!({ "skewPolicy": "ignore" });
        };
        Self::start_with(servers, ignoring).await
    }

    async fn start_with(
        servers: Vec<ServerOptions>,
        change: impl FnOnce(&mut StackOptions),
    ) -> Result<Self> {
        let plane = ControlPlane::start_with(servers).await?;
        let mut options = stack_options(&plane, "stack")?;
        change(&mut options);
        let stack = Stack::start_with_map(options).await?;
        Ok(Self { stack, plane })
    }

    /// Returns a client of the administrator through Envoy, with connections of
    /// its own. Fails if it cannot be made.
    pub fn client(&self, http: Http) -> Result<Client> {
        self.plane.client(&self.stack.url(), User::Admin, http)
    }

    /// Returns a client of the administrator straight to a server. Fails if
    /// there is no such server, or the client cannot be made.
    pub fn direct(&self, server: usize, http: Http) -> Result<Client> {
        self.plane.client(&self.plane.server(server)?.url(), User::Admin, http)
    }

    /// Returns where Envoy has sent requests so far, by its own count. Fails if
    /// Envoy's admin does not answer.
    pub async fn landed(&self) -> Result<Landed> {
        let clusters = self.stack.envoy.admin("/clusters?format=json").await?;
        let clusters: Value = serde_json::from_str(&clusters)?;
        let mut landed = Landed::new();
        for cluster in array(&clusters, "/cluster_statuses") {
            let name = cluster.get("name").and_then(Value::as_str).context("a cluster's name")?;
            for host in array(cluster, "/host_statuses") {
                let port = host.pointer(PORT).and_then(Value::as_u64);
                let mut servers = self.plane.servers().iter();
                let server = servers.find(|server| Some(u64::from(server.port())) == port);
                let Some(server) = server else { continue };
                let of_cluster = landed.entry(name.to_owned()).or_default();
                *of_cluster.entry(server.name().to_owned()).or_default() += requests(host);
            }
        }
        Ok(landed)
    }
}

fn requests(host: &Value) -> u64 {
    let mut stats = array(host, "/stats").iter();
    let total = stats.find(|stat| stat.get("name").is_some_and(|name| name == "rq_total"));
    // Envoy writes 64-bit numbers as strings.
    let value = total.and_then(|stat| stat.get("value")).and_then(Value::as_str);
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the options of a stack in front of all servers of `plane`, with its files in a folder of this name. Fails if Envoy's
/// certificate cannot be issued.
pub fn stack_options(plane: &ControlPlane, folder: &str) -> Result<StackOptions> {
    let (pki, folder) = (plane.pki(), plane.folder().join(folder));
    let mut options = StackOptions::new(peers(plane), pki.ca_file(), pki.server("envoy")?, folder);
    options.front_proxy = Some(plane.front_proxy().certificate().clone());
    options.token = User::Admin.token().unwrap_or_default().to_owned();
    Ok(options)
}

/// Returns all servers of `plane` as the companion knows them.
pub fn peers(plane: &ControlPlane) -> Vec<(String, SocketAddr)> {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let servers = plane.servers().iter();
    servers.map(|server| (server.name().to_owned(), address(server.port()))).collect()
}
