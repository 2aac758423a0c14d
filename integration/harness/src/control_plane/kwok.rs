//! KWOK: plays the kubelets of nodes that do not exist, so that pods run
//! although nothing runs in them.
//!
//! ```text
//!   kube-scheduler ──binds──▶ pod ◀──sets its status── KWOK ──heartbeats──▶ nodes
//! ```
//!
//! What it does to nodes and pods are the stages of its own module (`node/fast`,
//! `node/heartbeat`, `pod/fast`): a node is ready at once, a pod runs at once,
//! and that of a Job completes at once.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pki::ports::free_port;
use serde_json::{Value, json};
use wire::client::Client;

use crate::artifacts::Artifact;
use crate::process::{Process, Program};

/// Where nodes are.
const NODES: &str = "/api/v1/nodes";

/// A running KWOK; dropping it ends it, and its nodes stay.
#[derive(Debug)]
pub struct Kwok {
    process: Process,
}

impl Kwok {
    /// Starts it, makes `nodes` with `admin` unless they are there, and waits
    /// until pods can be bound to them. That takes a controller manager: each
    /// new node has a taint, which it removes when the node is ready.
    pub(super) async fn start(
        nodes: &[&str],
        admin: &Client,
        kubeconfig: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let binary = Artifact::Kwok.path()?;
        let stages = binary.with_file_name("stages.yaml");
        let port = free_port()?;
        let mut process = Program::new("kwok", binary, folder.join(format!("kwok-{port}.log")))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--config={}", stages.display()))
            .arg("--manage-all-nodes=true")
            .arg("--node-ip=127.0.0.1")
            .arg(format!("--server-address=127.0.0.1:{port}"))
            .spawn()?;
        for name in nodes {
            let answer = admin.post(NODES, &node(name)).await?;
            if answer.status.as_u16() != 409 {
                answer.ok()?;
            }
            let path = format!("{NODES}/{name}");
            let ready = process.until("a node for pods", Duration::from_secs(60), async || {
                let node = admin.get(&path).await?.ok()?.json()?;
                ensure!(is_ready(&node).context("no conditions")?, "it is not ready");
                let taints = node.pointer("/spec/taints");
                ensure!(taints.is_none(), "it has taints: {taints:?}");
                anyhow::Ok(())
            });
            ready.await?;
        }
        Ok(Self { process })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        } },
    })
}

fn is_ready(node: &Value) -> Option<bool> {
    let conditions = node.pointer("/status/conditions")?.as_array()?;
    let ready =
        conditions.iter().find(|condition| condition.get("type").is_some_and(|t| t == "Ready"))?;
    Some(ready.get("status").is_some_and(|status| status == "True"))
}
