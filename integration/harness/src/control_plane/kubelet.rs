//! A stand-in for a kubelet: a node that pretends to run pods.
//!
//! ```text
//!   kubectl exec ──▶ kube-apiserver ──TLS, the kubelet client's certificate──▶ stand-in
//! ```
//!
//! integration/control-plane/container.go implements its containers. Another stand-in
//! (integration/control-plane/forwarder) forwards ports.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use fake_apiserver::Version;
use pki::Pki;
use pki::ports::free_port;
use serde_json::{Value, json};
use wire::client::{Client, ClientOptions, Http};

use super::api_server::KUBELET_CLIENT;
use crate::artifacts::Artifact;
use crate::process::{Process, Program};

/// The options of a kubelet.
#[derive(Debug, Clone)]
pub struct KubeletOptions {
    /// The node's name.
    pub node: String,
    /// Its version.
    pub version: Version,
    /// The time between two lines of a followed log.
    pub log_interval: Duration,
    /// Whether it forwards ports, to the same ports on loopback. It can do nothing else then.
    pub forwards: bool,
}

impl KubeletOptions {
    /// Returns a node of this name.
    pub fn new(node: impl Into<String>, version: Version) -> Self {
        Self { node: node.into(), version, log_interval: Duration::from_secs(1), forwards: false }
    }
}

/// A running stand-in, and its node.
#[derive(Debug)]
pub struct KubeletStandIn {
    process: Process,
    node: String,
    admin: Client,
}

impl KubeletStandIn {
    /// Starts it, waits until it answers, and makes its node with `admin`.
    pub(super) async fn start(
        options: &KubeletOptions,
        admin: Client,
        pki: &Pki,
        folder: &Path,
    ) -> Result<Self> {
        let port = free_port()?;
        let files = pki.server(&format!("kubelet-{}", options.node))?;
        let log = folder.join(format!("kubelet-{}.log", options.node));
        let program = if options.forwards {
            Program::new("kubelet-forwarder", Artifact::KubeletForwarder.path()?, log)
        } else {
            Program::new("kubelet-stand-in", Artifact::ControlPlane(options.version).path()?, log)
                .arg("kubelet-stand-in")
                .arg(format!("--log-interval={}ms", options.log_interval.as_millis()))
        };
        let mut process = program
            .arg(format!("--port={port}"))
            .arg(format!("--tls-cert-file={}", files.certificate.display()))
            .arg(format!("--tls-private-key-file={}", files.key.display()))
            .arg(format!("--client-ca-file={}", pki.ca_file().display()))
            .arg(format!("--client-name={KUBELET_CLIENT}"))
            .spawn()?;
        let client = Client::new(&ClientOptions {
            url: format!("https://127.0.0.1:{port}"),
            ca_pem: pki.ca_pem(),
            certificate: Some(pki.issued(KUBELET_CLIENT)),
            http: Http::One,
            ..ClientOptions::default()
        })?;
        process.until_ok(&client, "/healthz", Duration::from_secs(60)).await?;
        admin.post("/api/v1/nodes", &node(&options.node, port)).await?.ok()?;
        Ok(Self { process, node: options.node.clone(), admin })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Creates a pod on this node, ready, with one container, `main`. Fails if an API
    /// server refuses it.
    pub async fn run_pod(&self, namespace: &str, name: &str) -> Result<()> {
        self.run(namespace, &pod(name, "main")).await
    }

    /// Creates this pod on this node, ready. Fails if an API server refuses it.
    pub async fn run(&self, namespace: &str, pod: &Value) -> Result<()> {
        self.service_account(namespace).await?;
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let mut pod = pod.clone();
        let spec = pod.pointer_mut("/spec").and_then(Value::as_object_mut);
        spec.context("the pod has no spec")?.insert("nodeName".to_owned(), json!(self.node));
        let name = pod.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.context("the pod has no name")?.to_owned();
        let mut pod = self.admin.post(&pods, &pod).await?.ok()?.json()?;
        let fields = pod.as_object_mut().context("the pod is not an object")?;
        let container = fields.get("spec").and_then(|spec| spec.pointer("/containers/0/name"));
        let status = running(container.context("the pod has no container")?);
        fields.insert("status".to_owned(), status);
        self.admin.put(&format!("{pods}/{name}/status"), &pod).await?.ok()?;
        Ok(())
    }

    /// A pod needs it, and no controller makes it here.
    async fn service_account(&self, namespace: &str) -> Result<()> {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({ "metadata": { "name": "default" } });
        let answer = self.admin.post(&accounts, &account).await?;
        if answer.status.as_u16() != 409 {
            answer.ok()?;
        }
        Ok(())
    }
}

fn node(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": "127.0.0.1" },
                { "type": "Hostname", "address": name },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        },
    })
}

/// Returns a pod with one container, for [`KubeletStandIn::run`].
pub fn pod(name: &str, container: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{ "name": container, "image": "none", "stdin": true }],
        },
    })
}

fn running(container: &Value) -> Value {
    let started = "2026-01-01T00:00:00Z";
    json!({
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": started }],
        "containerStatuses": [{
            "name": container, "image": "none", "imageID": "none", "ready": true, "started": true,
            "restartCount": 0, "state": { "running": { "startedAt": started } },
        }],
    })
}
