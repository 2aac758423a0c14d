//! A real control plane with a stack in front of it.
//!
//! ```text
//!   clients ──TLS, token──▶ Envoy + filter ──▶ server-0, server-1, … ──▶ etcd
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::Mode;
use fake_apiserver::Version;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use crate::clusters::{self, Cluster, Host};
use crate::control_plane::{ControlPlane, ServerOptions, User};
use crate::stack::{Stack, StackOptions};
use crate::wait;

/// A busy machine gets time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Until Envoy's workers use the clusters that its admin shows: its main thread tells them at once.
const WORKERS: Duration = Duration::from_secs(1);

/// Requests that went to each server, by cluster and then by server name.
pub type Landed = BTreeMap<String, BTreeMap<String, u64>>;

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

    /// Waits until the companion has a server in rotation as this version. Fails if that does not happen
    /// in time.
    pub async fn wait_in_rotation(&self, server: usize, version: Version) -> Result<()> {
        let name = self.plane.server(server)?.name();
        wait::until("the server in rotation", DEADLINE, async || {
            let peers = self.stack.companion.json("/v1/peers").await?;
            let mut peers = peers.as_array().context("no list")?.iter();
            let peer = peers.find(|peer| peer["name"] == *name).context("no such peer")?;
            ensure!(
                peer["minorVersion"] == version.as_str() && peer["state"] == "serving",
                "{peer}"
            );
            anyhow::Ok(())
        })
        .await
    }

    /// Waits until Envoy asks first the servers for which `is_first` holds, by what the companion says of
    /// them (an entry of `/v1/peers`), and no others. Fails if that does not happen in time.
    pub async fn wait_for_first(
        &self,
        what: &str,
        is_first: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        wait::until(what, DEADLINE, async || {
            let peers = self.stack.companion.json("/v1/peers").await?;
            let first = peers.as_array().context("no list")?.iter().filter(|peer| is_first(peer));
            let first: BTreeSet<_> = first.filter_map(|peer| peer["name"].as_str()).collect();
            ensure!(!first.is_empty(), "no such server: {peers}");
            let envoy = self.stack.envoy.clusters().await?;
            for cluster in [clusters::DEFAULT, clusters::DEFAULT_TWIN] {
                let asked = self.servers_of(envoy.named(cluster)?);
                let asked = asked.filter(|(_, host)| host.is_first());
                let asked: BTreeSet<_> = asked.map(|(name, _)| name).collect();
                ensure!(asked == first, "{cluster}: Envoy asks {asked:?} first, not {first:?}");
            }
            anyhow::Ok(())
        })
        .await?;
        tokio::time::sleep(WORKERS).await;
        Ok(())
    }

    /// Returns where Envoy has sent requests so far, by its own count. Fails if
    /// Envoy's admin does not answer.
    pub async fn landed(&self) -> Result<Landed> {
        let clusters = self.stack.envoy.clusters().await?;
        let mut landed = Landed::new();
        for cluster in clusters.iter() {
            for (server, host) in self.servers_of(cluster) {
                let of_cluster = landed.entry(cluster.name().to_owned()).or_default();
                *of_cluster.entry(server.to_owned()).or_default() += host.stat("rq_total");
            }
        }
        Ok(landed)
    }

    /// Returns the hosts of a cluster that are servers, with their names.
    fn servers_of<'v>(&'v self, cluster: Cluster<'v>) -> impl Iterator<Item = (&'v str, Host<'v>)> {
        cluster.hosts().filter_map(|host| {
            let mut servers = self.plane.servers().iter();
            let server = servers.find(|server| Some(server.port()) == host.port())?;
            Some((server.name(), host))
        })
    }
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
