//! Real control planes: one etcd, kube-apiservers of chosen versions on it,
//! kube-controller-managers, kube-schedulers, kubectl, and what plays kubelets.
//!
//! ```text
//!   kubectl, controller manager, clients ──TLS, token or certificate──▶ kube-apiserver × N ──▶ etcd
//!   front proxy ──TLS, front-proxy certificate, X-Remote-User, …──────▶      │
//!                                                                            └──▶ kubelet stand-in
//!                                    (versions differ, one etcd, one UTS namespace each)
//! ```
//!
//! There are two authorities, as in kubeadm's clusters: one of servers and
//! clients, and one of the front proxy.
//!
//! A server keeps its port, its name and its certificate over a restart, with
//! another version too, so a rolling upgrade is [`ApiServer::restart_as`] on
//! one server after the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fake_apiserver::Version;
use futures_util::future::try_join_all;
use pki::{CertificateFiles, Pki};
use serde_json::Value;
use tempfile::TempDir;
use wire::client::{Client, ClientOptions, Http};

use crate::artifacts::Artifact;
use crate::kubeconfig;

mod api_server;
mod component;
mod controller_manager;
mod etcd;
mod front_proxy;
mod kubectl;
mod kubelet;
mod kwok;
mod scheduler;
mod user;

pub use api_server::{ApiServer, ServerOptions};
pub use controller_manager::{ControllerManager, ControllerManagerOptions};
pub use etcd::Etcd;
pub use front_proxy::FrontProxy;
pub use kubectl::{Kubectl, KubectlOutput, RunningKubectl};
pub use kubelet::{KubeletOptions, KubeletStandIn, pod};
pub use kwok::Kwok;
pub use scheduler::Scheduler;
pub use user::User;

/// A control plane; dropping it ends all of its processes.
#[derive(Debug)]
pub struct ControlPlane {
    servers: Vec<ApiServer>,
    etcd: Etcd,
    pki: Pki,
    front_proxy: FrontProxy,
    // The last field: the folder is removed after the processes have ended.
    folder: TempDir,
}

impl ControlPlane {
    /// Starts servers of these versions, and waits until all are ready. They
    /// are called `server-0`, `server-1`, …. Fails if one does not become
    /// ready; the message shows the end of its log.
    pub async fn start(versions: &[Version]) -> Result<Self> {
        let options = versions
            .iter()
            .enumerate()
            .map(|(index, version)| ServerOptions::new(format!("server-{index}"), *version));
        Self::start_with(options.collect()).await
    }

    /// Starts servers with these options, and waits until all are ready. Fails
    /// if one does not become ready; the message shows the end of its log.
    pub async fn start_with(servers: Vec<ServerOptions>) -> Result<Self> {
        let folder = TempDir::with_prefix("control-plane-")?;
        let pki = Pki::create(folder.path().join("pki"))?;
        pki.service_account_keys()?;
        pki.client(api_server::KUBELET_CLIENT, api_server::KUBELET_CLIENT, &[])?;
        user::write_token_file(folder.path())?;
        user::issue_certificates(&pki)?;
        let front_proxy = FrontProxy::create(&folder.path().join("front-proxy-pki"))?;
        // etcd's version does not matter, so it is the newest server's.
        let version = servers.iter().map(|server| server.version).max();
        let version = version.context("a control plane needs at least one server")?;
        let etcd = Etcd::start(version, &folder.path().join("etcd")).await?;
        let mut plane = Self { servers: Vec::new(), etcd, pki, front_proxy, folder };
        for options in servers {
            plane.add(options)?;
        }
        for server in &mut plane.servers {
            server.wait_ready().await?;
        }
        Ok(plane)
    }

    /// Starts one more server; it is not waited for. Fails if it cannot be
    /// started.
    pub fn add(&mut self, options: ServerOptions) -> Result<&mut ApiServer> {
        let folder = self.folder.path().join(&options.name);
        let etcd = self.etcd.url();
        let server = ApiServer::start(options, folder, &etcd, &self.pki, &self.front_proxy)?;
        self.servers.push(server);
        self.servers.last_mut().context("the server that was just added")
    }

    /// Returns all servers.
    pub fn servers(&self) -> &[ApiServer] {
        &self.servers
    }

    /// Returns the server at `index`, in the order in which they were added.
    /// Fails if the index is out of range.
    pub fn server(&self, index: usize) -> Result<&ApiServer> {
        self.servers.get(index).with_context(|| format!("server {index} does not exist"))
    }

    /// Returns the server at `index`, to stop or restart it. Fails if the index
    /// is out of range.
    pub fn server_mut(&mut self, index: usize) -> Result<&mut ApiServer> {
        self.servers.get_mut(index).with_context(|| format!("server {index} does not exist"))
    }

    /// Stops the servers at these places at the same time. Fails if one does not
    /// end in time.
    pub async fn stop_together(&mut self, places: &[usize]) -> Result<()> {
        let servers = self.servers.iter_mut().enumerate();
        let stopping = servers.filter(|(place, _)| places.contains(place));
        try_join_all(stopping.map(|(_, server)| server.stop())).await?;
        Ok(())
    }

    /// Returns the authority of servers and clients; issue Envoy's certificate here
    /// too, so that one kubeconfig fits all.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the front proxy's authority and client certificate.
    pub fn front_proxy(&self) -> &FrontProxy {
        &self.front_proxy
    }

    /// Returns the certificate of a user that has one.
    pub fn certificate(&self, user: User) -> Option<CertificateFiles> {
        user.certificate(&self.pki)
    }

    /// etcd.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Returns the folder of all state and logs; it goes with this handle.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a client of `url` (a server's, or Envoy's in front of them).
    /// Fails if the client cannot be made.
    pub fn client(&self, url: &str, user: User, http: Http) -> Result<Client> {
        Client::new(&ClientOptions {
            url: url.to_owned(),
            ca_pem: self.pki.ca_pem(),
            token: user.token().map(str::to_owned),
            certificate: self.certificate(user),
            http,
        })
    }

    /// Writes a kubeconfig for `user` at `url`. Fails if it cannot be written.
    pub fn kubeconfig(&self, url: &str, user: User) -> Result<PathBuf> {
        let identity = match self.certificate(user) {
            Some(files) => kubeconfig::by_certificate(&files),
            None => kubeconfig::by_token(user.token()),
        };
        self.kubeconfig_as(url, user.file(), &identity)
    }

    /// Writes a kubeconfig of any user, named after `name`; one file for each
    /// name and address.
    fn kubeconfig_as(&self, url: &str, name: &str, user: &Value) -> Result<PathBuf> {
        let address = url.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let file = self.folder.path().join(format!("{name}-{address}.kubeconfig"));
        kubeconfig::write(&file, url, &self.pki.ca_file(), user)?;
        Ok(file)
    }

    /// kubectl of `version` for `user` at `url`. Fails if the kubeconfig cannot
    /// be written.
    pub fn kubectl(&self, version: Version, url: &str, user: User) -> Result<Kubectl> {
        self.kubectl_with(version, self.kubeconfig(url, user)?)
    }

    /// kubectl of `version` at `url`, with the client certificate `files`; the
    /// kubeconfig is named after `name`. Fails if the kubeconfig cannot be
    /// written.
    pub fn certificate_kubectl(
        &self,
        version: Version,
        url: &str,
        name: &str,
        files: &CertificateFiles,
    ) -> Result<Kubectl> {
        let user = kubeconfig::by_certificate(files);
        self.kubectl_with(version, self.kubeconfig_as(url, name, &user)?)
    }

    fn kubectl_with(&self, version: Version, config: PathBuf) -> Result<Kubectl> {
        let binary = Artifact::ControlPlane(version).path()?;
        Ok(Kubectl::new(binary, config, self.folder.path().join("kubectl-cache")))
    }

    /// Starts a stand-in for a kubelet and makes its node; it ends with the
    /// handle that is returned, and the node stays. Fails if it does not become
    /// ready, or its node is refused.
    pub async fn kubelet(&self, options: &KubeletOptions) -> Result<KubeletStandIn> {
        let admin = self.client(&self.server(0)?.url(), User::Admin, Http::Two)?;
        KubeletStandIn::start(options, admin, &self.pki, self.folder.path()).await
    }

    /// Starts a controller manager against `options.url`; it ends with the handle
    /// that is returned. Fails if it does not become healthy.
    pub async fn controller_manager(
        &self,
        options: &ControllerManagerOptions,
    ) -> Result<ControllerManager> {
        let config = self.kubeconfig(&options.url, options.user)?;
        ControllerManager::start(options, &config, &self.pki, self.folder.path()).await
    }

    /// Starts a scheduler of `version` against `url`; it ends with the handle
    /// that is returned. Fails if it does not become healthy.
    pub async fn scheduler(&self, version: Version, url: &str) -> Result<Scheduler> {
        let config = self.kubeconfig(url, User::Scheduler)?;
        Scheduler::start(version, &config, self.folder.path()).await
    }

    /// Starts KWOK against `url` with nodes of these names; it ends with the
    /// handle that is returned. A controller manager must run. Fails if a node
    /// does not become ready.
    pub async fn kwok(&self, nodes: &[&str], url: &str) -> Result<Kwok> {
        let admin = self.client(url, User::Admin, Http::Two)?;
        let config = self.kubeconfig(url, User::Admin)?;
        Kwok::start(nodes, &admin, &config, self.folder.path()).await
    }
}

/// The EndpointSlice of the Service `default/kubernetes`. A server writes its address into it once it is
/// ready.
pub const KUBERNETES_SLICE: &str =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

/// Returns the addresses of an EndpointSlice. Fails if it has no endpoints.
pub fn addresses_in(slice: &Value) -> Result<BTreeSet<String>> {
    let endpoints = slice.get("endpoints").and_then(Value::as_array).context("no endpoints")?;
    let addresses = endpoints.iter().filter_map(|one| one.pointer("/addresses/0")?.as_str());
    Ok(addresses.map(str::to_owned).collect())
}
