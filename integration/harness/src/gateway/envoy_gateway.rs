//! A real Envoy Gateway on a real control plane, and the bootstrap that it makes for its Envoys.
//!
//! It looks for its certificates in `/certs`, so it has a root folder of its own. Its ports are
//! fixed, so a test of it has a network namespace of its own ([`crate::namespace`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::process::Command;
use wire::client::Client;

use crate::artifacts::Artifact;
use crate::envoy::EnvoyOptions;
use crate::process::{Process, Program};

/// Where it looks for its certificates and keeps what it makes.
const NAMESPACE: &str = "envoy-gateway-system";

/// Where it says that Envoys find it.
const HOST: &str = "envoy-gateway.envoy-gateway-system.svc.cluster.local.";

const DEADLINE: Duration = Duration::from_secs(120);

/// A running Envoy Gateway; dropping it ends it.
#[derive(Debug)]
pub struct EnvoyGateway {
    process: Process,
    folder: PathBuf,
}

impl EnvoyGateway {
    /// Returns the file with the definitions of its resources. Fails if it was not built.
    pub fn definitions() -> Result<PathBuf> {
        Ok(Artifact::EnvoyGateway.path()?.with_file_name("definitions.yaml"))
    }

    /// Starts it, as its chart does: first its certificates are made. The definitions must be there.
    /// Fails if it cannot be started.
    pub async fn start(admin: &Client, kubeconfig: &Path, folder: &Path) -> Result<Self> {
        let binary = Artifact::EnvoyGateway.path()?;
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        admin.post("/api/v1/namespaces", &namespace).await?.ok()?;
        let mut certgen = Command::new(&binary);
        certgen.args(["certgen", "--disable-topology-injector"]).env("KUBECONFIG", kubeconfig);
        let output = certgen.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let root = folder.join("root");
        fs::create_dir_all(root.join("tmp"))?;
        write_secret(admin, "envoy-gateway", &root.join("certs")).await?;
        fs::copy(&binary, root.join("envoy-gateway"))?;
        fs::write(root.join("kubeconfig"), self_contained(kubeconfig)?)?;
        let config = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller" },
            "provider": { "type": "Kubernetes", "kubernetes": {
                "leaderElection": { "disable": true },
                "topologyInjector": { "disabled": true },
            } },
            "extensionApis": { "enableEnvoyPatchPolicy": true },
        });
        fs::write(root.join("config.yaml"), config.to_string())?;
        let process = Program::new("envoy-gateway", "chroot", folder.join("envoy-gateway.log"))
            .arg(&root)
            .args(["/envoy-gateway", "server", "--config-path", "/config.yaml"])
            .env("KUBECONFIG", "/kubeconfig")
            .spawn()?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns the Envoy that it makes of a Gateway, with the bootstrap of its Deployment. Fails if
    /// there is no such Deployment in time.
    pub async fn envoy(&mut self, admin: &Client, gateway: &str) -> Result<EnvoyOptions> {
        let selector = format!("gateway.envoyproxy.io/owning-gateway-name={gateway}");
        let path =
            format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments?labelSelector={selector}");
        let deployment = self.process.until("the Deployment of Envoys", DEADLINE, async || {
            let list = admin.get(&path).await?.ok()?.json()?;
            list.pointer("/items/0").cloned().context("there is none")
        });
        let arguments = arguments(&deployment.await?).context("no arguments of Envoy")?;
        let argument = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name);
            at.and_then(|at| arguments.get(at + 1)).with_context(|| format!("no {name}"))
        };
        let sds = self.folder.join("sds");
        fs::create_dir_all(&sds)?;
        let certificates = self.folder.join("certs");
        write_secret(admin, "envoy", &certificates).await?;
        write_sources(admin, gateway, &sds, &certificates).await?;
        let envoy = EnvoyOptions::new(argument("--config-yaml")?, self.folder.join("envoy"))
            .replacing(HOST, "127.0.0.1")?
            // Where the controller has its own.
            .replacing("port_value: 19000", "port_value: 0")?
            .replacing("port_value: 19001", "port_value: 0")?
            .replacing("/sds/", &format!("{}/", sds.display()))?;
        Ok(envoy
            .argument("--service-cluster")
            .argument(argument("--service-cluster")?)
            .argument("--service-node")
            .argument("envoy-0"))
    }
}

fn arguments(deployment: &Value) -> Option<Vec<String>> {
    let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
    let envoy =
        containers.iter().find(|one| one.get("name").is_some_and(|name| name == "envoy"))?;
    let arguments = envoy.get("args")?.as_array()?;
    arguments.iter().map(|argument| argument.as_str().map(str::to_owned)).collect()
}

/// Writes the entries of a Secret to a folder.
async fn write_secret(admin: &Client, name: &str, folder: &Path) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}");
    let secret = admin.get(&path).await?.ok()?.json()?;
    fs::create_dir_all(folder)?;
    for (file, data) in secret.get("data").and_then(Value::as_object).context("no data")? {
        let data = STANDARD.decode(data.as_str().context("no text")?)?;
        fs::write(folder.join(file), data)?;
    }
    Ok(())
}

/// Writes the files in which Envoy finds its certificate, as they are in a ConfigMap.
async fn write_sources(admin: &Client, gateway: &str, sds: &Path, tls: &Path) -> Result<()> {
    let selector = format!("gateway.envoyproxy.io/owning-gateway-name={gateway}");
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps?labelSelector={selector}");
    let list = admin.get(&path).await?.ok()?.json()?;
    let data = list.pointer("/items/0/data").and_then(Value::as_object);
    for (file, text) in data.context("no ConfigMap of Envoys")? {
        let text = text.as_str().context("no text")?;
        fs::write(sds.join(file), text.replace("/certs/", &format!("{}/", tls.display())))?;
    }
    Ok(())
}

/// Returns a kubeconfig that names no file.
fn self_contained(kubeconfig: &Path) -> Result<String> {
    let mut config: Value = serde_json::from_str(&fs::read_to_string(kubeconfig)?)?;
    let cluster = config.pointer_mut("/clusters/0/cluster").and_then(Value::as_object_mut);
    let cluster = cluster.context("no cluster")?;
    let file = cluster.remove("certificate-authority").context("no authority")?;
    let data = STANDARD.encode(fs::read(file.as_str().context("no path")?)?);
    cluster.insert("certificate-authority-data".to_owned(), data.into());
    Ok(config.to_string())
}
