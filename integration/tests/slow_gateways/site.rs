//! A control plane of two versions, the definitions and objects that a controller needs, and the
//! companion.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use harness::artifacts::Artifact;
use harness::companion::{Companion, CompanionOptions};
use harness::control_plane::{ControlPlane, Kubectl, User};
use harness::gateway::Gateway;
use harness::namespace::pod_address;
use harness::ports;
use harness::site::stack_options;
use harness::skew::{self, NEW, NEWER};
use harness::stack::StackOptions;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use super::NAME;

pub struct Site {
    pub companion: Companion,
    pub options: StackOptions,
    pub plane: ControlPlane,
    gateway: Gateway,
}

impl Site {
    /// Starts all but the controller and Envoy.
    pub async fn start(gateway: Gateway, definitions: &Path) -> Result<Self> {
        // The namespace has no default route, by which a server would find its address.
        let advertised = format!("--advertise-address={}", pod_address(1));
        let servers = skew::servers().into_iter().map(|server| server.argument(&advertised));
        let plane = ControlPlane::start_with(servers.collect()).await?;
        let mut options = stack_options(&plane, "stack")?;
        options.gateway = Some(gateway);
        let port = ports::free_port()?;
        let folder = options.folder.join("companion");
        let config = options.companion_config(port)?;
        let mut companion = Companion::start(CompanionOptions { config, port, folder }).await?;
        companion.wait_ready().await?;
        let site = Self { companion, options, plane, gateway };
        let definitions = definitions.to_str().context("not UTF-8")?;
        let kubectl = site.kubectl()?;
        kubectl.run(&["apply", "--server-side", "-f", definitions]).await?.ok()?;
        let established = ["wait", "crd", "--all", "--for=condition=Established"];
        kubectl.run(&established).await?.ok()?;
        let namespace = json!({ "metadata": { "name": NAME } });
        site.admin()?.post("/api/v1/namespaces", &namespace).await?.ok()?;
        Ok(site)
    }

    /// Where the controller finds its API: the newer server, with no Envoy between.
    fn url(&self) -> Result<String> {
        Ok(self.plane.server(NEW)?.url())
    }

    pub fn admin(&self) -> Result<Client> {
        self.plane.client(&self.url()?, User::Admin, Http::Two)
    }

    pub fn kubeconfig(&self) -> Result<PathBuf> {
        self.plane.kubeconfig(&self.url()?, User::Admin)
    }

    fn kubectl(&self) -> Result<Kubectl> {
        self.plane.kubectl(NEWER, &self.url()?, User::Admin)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.plane.folder().join(name)
    }

    /// Creates an object in the namespace of the Gateway.
    pub async fn create(&self, resource: &str, object: Value) -> Result<()> {
        let path = format!("/api/v1/namespaces/{NAME}/{resource}");
        self.admin()?.post(&path, &object).await?.ok()?;
        Ok(())
    }

    /// Applies a shipped file, with the places of this site.
    pub async fn apply(&self, file: &str) -> Result<()> {
        let module = Artifact::Filter.path()?;
        let module = module.parent().and_then(Path::to_str).context("not UTF-8")?;
        let published = self.options.published();
        let text = self.gateway.shipped(file)?;
        let text = text
            .replace("/var/lib/mixed-version-proxy/envoy", published.to_str().context("not UTF-8")?)
            .replace("/usr/lib/mixed-version-proxy", module);
        let arguments = ["apply", "--server-side", "-f", "-"];
        self.kubectl()?.run_with_input(&arguments, text.as_bytes()).await?.ok()?;
        Ok(())
    }
}
