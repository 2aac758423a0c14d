//! One kube-apiserver: start, stop, kill, and restart as another version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use pki::ports::free_port;
use pki::{CertificateFiles, Pki};
use wire::client::{Client, ClientOptions};

use super::component;
use super::front_proxy::FrontProxy;
use super::user;
use crate::process::Process;

/// It is ready after 2 s on an idle machine, but many tests may share two cores.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// A stopping server lets watches end first.
const STOP_DEADLINE: Duration = Duration::from_secs(90);

/// The options of an API server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The server's name. It is also its host name, and so determines its identity.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Further arguments, such as `--runtime-config=…` for more skew. They come
    /// last, so they override others.
    pub arguments: Vec<String>,
}

impl ServerOptions {
    /// Returns a server with ordinary arguments.
    pub fn new(name: impl Into<String>, version: Version) -> Self {
        Self { name: name.into(), version, arguments: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// A kube-apiserver, running or not.
#[derive(Debug)]
pub struct ApiServer {
    options: ServerOptions,
    folder: PathBuf,
    port: u16,
    /// The arguments that stay the same over restarts.
    arguments: Vec<String>,
    client: Client,
    process: Option<Process>,
}

impl ApiServer {
    /// Starts a server on a free port; it is not waited for.
    pub(super) fn start(
        options: ServerOptions,
        folder: PathBuf,
        etcd: &str,
        pki: &Pki,
        front_proxy: &FrontProxy,
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let files = pki.server(&options.name)?;
        let mut arguments = arguments(&folder, port, etcd, pki, &files);
        arguments.extend(front_proxy.arguments());
        arguments.extend(kubelet_arguments(pki));
        let (url, ca_pem) = (format!("https://127.0.0.1:{port}"), pki.ca_pem());
        let client = Client::new(&ClientOptions { url, ca_pem, ..ClientOptions::default() })?;
        let mut server = Self { options, folder, port, arguments, client, process: None };
        server.spawn()?;
        Ok(server)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the version it runs, or ran last.
    pub fn version(&self) -> Version {
        self.options.version
    }

    /// Returns its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns its process, when it was not stopped.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Starts it (again); use [`Self::wait_ready`] to wait for it. Fails if it
    /// runs already or cannot be executed.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name());
        let (version, log) = (self.options.version, self.folder.join("log"));
        let program = component::program("kube-apiserver", version, self.name(), log)?
            .hostname(self.name())
            .args(&self.arguments)
            .args(&self.options.arguments);
        self.process = Some(program.spawn()?);
        Ok(())
    }

    /// Waits until `/readyz` answers 200. Fails if it ends or does not become
    /// ready in time.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("it was stopped")?;
        process.until_ok(&self.client, "/readyz", READY_DEADLINE).await
    }

    /// Stops it gracefully (SIGTERM) and waits for its end. Fails if it does
    /// not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(STOP_DEADLINE).await?;
        }
        Ok(())
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill_9(&mut self) {
        self.process = None;
    }

    /// Starts it again as it was, and waits until it is ready. Fails if it
    /// runs, or does not become ready.
    pub async fn start_again(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Stops it gracefully and starts it as `version`, on the same port. Fails
    /// if it does not stop, or does not become ready.
    pub async fn restart_as(&mut self, version: Version) -> Result<()> {
        self.stop().await?;
        self.options.version = version;
        self.start_again().await
    }
}

/// Returns the arguments that every server has. Unnecessary work is turned off: the
/// servers share two cores with the tests.
fn arguments(
    folder: &Path,
    port: u16,
    etcd: &str,
    pki: &Pki,
    files: &CertificateFiles,
) -> Vec<String> {
    let of_plane = |file: &str| pki.folder().with_file_name(file).display().to_string();
    let of_pki = |file: &str| pki.folder().join(file).display().to_string();
    vec![
        format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.join("certificates").display()),
        format!("--tls-cert-file={}", files.certificate.display()),
        format!("--tls-private-key-file={}", files.key.display()),
        format!("--client-ca-file={}", of_pki("ca.crt")),
        format!("--token-auth-file={}", of_plane(user::TOKEN_FILE)),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", of_pki("sa.pub")),
        format!("--service-account-signing-key-file={}", of_pki("sa.key")),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // The address is in `/api`; a documentation name, the same everywhere.
        "--external-hostname=kube-apiserver.test:6443".to_owned(),
        // No Service `kubernetes` points anywhere here.
        "--endpoint-reconciler-type=none".to_owned(),
        // Never wait for a load balancer to notice: the proxy must cope.
        "--shutdown-delay-duration=0s".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

/// The user that the API servers are to a kubelet, by certificate.
pub(super) const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Returns how a server reaches kubelets (for exec, logs and the like), and is known
/// to them.
fn kubelet_arguments(pki: &Pki) -> [String; 4] {
    let client = pki.issued(KUBELET_CLIENT);
    [
        format!("--kubelet-client-certificate={}", client.certificate.display()),
        format!("--kubelet-client-key={}", client.key.display()),
        format!("--kubelet-certificate-authority={}", pki.ca_file().display()),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
    ]
}
