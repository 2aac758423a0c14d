//! The cluster that the suite runs against.

use std::path::PathBuf;

use anyhow::Result;
use harness::control_plane::{
    ControllerManager, ControllerManagerOptions, Kwok, Scheduler, ServerOptions, User,
};
use harness::site::Site;

use crate::pair::Pair;

/// The newer server's place in the control plane.
const NEWER: usize = 1;

/// Specs that spread pods need more than one.
const NODES: [&str; 2] = ["node-0", "node-1"];

/// API servers of two versions with Envoy in front of them, and all that makes a
/// cluster of them. Dropping it ends everything.
pub struct Cluster {
    // The first fields: the clients go before the servers.
    clients: Option<Clients>,
    site: Site,
    pair: Pair,
}

/// What talks to the API servers besides the suite.
struct Clients {
    manager: ControllerManager,
    scheduler: Scheduler,
    kwok: Kwok,
}

impl Cluster {
    /// Starts everything, with all clients behind Envoy. Fails if something
    /// does not become ready.
    pub async fn start(pair: Pair) -> Result<Self> {
        let server =
            |name, version| ServerOptions::new(name, version).argument("--allow-privileged=true");
        let servers = vec![server("older", pair.older), server("newer", pair.newer)];
        let site = Site::start_as_shipped(servers).await?;
        let mut cluster = Self { clients: None, site, pair };
        let url = cluster.envoy();
        cluster.connect(&url).await?;
        Ok(cluster)
    }

    /// Returns Envoy's address.
    pub fn envoy(&self) -> String {
        self.site.stack.url()
    }

    /// Returns the newer server's own address. Fails if it is not there.
    pub fn newer(&self) -> Result<String> {
        Ok(self.site.plane.server(NEWER)?.url())
    }

    /// Starts all clients anew, connected to `url`. Fails if one does not become
    /// healthy.
    pub async fn connect(&mut self, url: &str) -> Result<()> {
        self.clients = None;
        let plane = &self.site.plane;
        let options = ControllerManagerOptions {
            // It must not be newer than any server that it talks to.
            version: self.pair.older,
            url: url.to_owned(),
            user: User::ControllerManager,
            controllers: vec!["*".to_owned()],
            arguments: vec![
                format!("--cluster-signing-cert-file={}", plane.pki().ca_file().display()),
                format!("--cluster-signing-key-file={}", plane.pki().ca_key_file()?.display()),
            ],
        };
        let mut manager = plane.controller_manager(&options).await?;
        let scheduler = plane.scheduler(self.pair.older, url).await?;
        let kwok = match plane.kwok(&NODES, url).await {
            Ok(kwok) => kwok,
            // Nodes need the controller manager; its log says more.
            Err(error) => return Err(manager.process().ensure_running().err().unwrap_or(error)),
        };
        self.clients = Some(Clients { manager, scheduler, kwok });
        Ok(())
    }

    /// Writes the suite's kubeconfig for `url`. Fails if it cannot be written.
    pub fn kubeconfig(&self, url: &str) -> Result<PathBuf> {
        self.site.plane.kubeconfig(url, User::Admin)
    }

    /// Fails if anything that the suite relies on has ended meanwhile.
    pub fn ensure_running(&mut self) -> Result<()> {
        let Some(clients) = &mut self.clients else { return Ok(()) };
        clients.manager.process().ensure_running()?;
        clients.scheduler.process().ensure_running()?;
        clients.kwok.process().ensure_running()
    }
}
