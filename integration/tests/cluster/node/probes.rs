//! Probes of a node's API server: the kubelet's, as its manifest says, and those of a load balancer,
//! which go through the node's Envoy.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::promise;
use serde_json::Value;
use wire::client::{Client, ClientOptions, Http};

use super::machine::Machine;
use super::nodes::{CLIENTS, Nodes};

/// What was promised: a probe of a dead server fails in that time.
const PROMISE: Duration = Duration::from_secs(2);

/// A probe's result: what was probed, whether it succeeded, and how long it took.
pub type Probed = (String, bool, Duration);

/// Probes one node.
pub struct Prober<'n> {
    machine: &'n Machine,
    /// The kubelet's: paths and time-outs.
    kubelets: Vec<(String, String, Duration)>,
    /// Of a client in the kubelet's place, without a certificate.
    local: ClientOptions,
    /// Of a load balancer, and of one with a certificate.
    through_envoy: [Client; 2],
}

impl<'n> Prober<'n> {
    /// Returns a prober of a node, by the manifest that it has now.
    pub fn new(nodes: &'n Nodes, index: usize) -> Result<Self> {
        let machine = &nodes.node(index)?.machine;
        let manifest = fs::read_to_string(machine.etc("kubernetes/manifests/kube-apiserver.yaml"))?;
        let manifest: Value = serde_saphyr::from_str(&manifest)?;
        let mut kubelets = Vec::new();
        for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let probe =
                manifest.pointer(&format!("/spec/containers/0/{name}")).context("no probe")?;
            let text = |pointer| probe.pointer(pointer).and_then(Value::as_str).context("a field");
            ensure!(text("/httpGet/host")? == "127.0.0.1", "{probe}");
            let seconds = probe.get("timeoutSeconds").and_then(Value::as_u64).context("a time")?;
            let path = text("/httpGet/path")?.to_owned();
            kubelets.push((name.to_owned(), path, Duration::from_secs(seconds)));
        }
        // A name of the certificate, which the client resolves to 127.0.0.1.
        let url = format!("https://kubernetes:{CLIENTS}");
        let local = ClientOptions { certificate: None, ..nodes.client_options(url, Http::One)? };
        let with = nodes.client_options(nodes.url(index)?, Http::One)?;
        let without = ClientOptions { certificate: None, ..with.clone() };
        let through_envoy = [Client::new(&without)?, Client::new(&with)?];
        Ok(Self { machine, kubelets, local, through_envoy })
    }

    /// Sends each probe this often.
    pub async fn all(&self, times: usize) -> Result<Vec<Probed>> {
        let mut probed = Vec::new();
        for _ in 0..times {
            for (name, path, time) in &self.kubelets {
                probed.push(self.kubelets(name, path, *time).await?);
            }
            probed.extend(self.of_load_balancers().await);
        }
        Ok(probed)
    }

    /// Sends those that must notice a server that hangs: all but the kubelet's for a restart, which
    /// is not to restart a server that is only slow.
    pub async fn hanging(&self) -> Result<Vec<Probed>> {
        let mut probed = Vec::new();
        for (name, path, time) in self.kubelets.iter().filter(|(name, ..)| name == "readinessProbe")
        {
            probed.push(self.kubelets(name, path, *time).await?);
        }
        probed.extend(self.of_load_balancers().await);
        Ok(probed)
    }

    async fn kubelets(&self, name: &str, path: &str, time: Duration) -> Result<Probed> {
        let (options, path) = (self.local.clone(), path.to_owned());
        let probe = self.machine.inside(move || async move {
            let (client, started) = (Client::new(&options)?, Instant::now());
            let answer = tokio::time::timeout(time, client.get(&path)).await;
            let ok =
                answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success()));
            Ok((ok, started.elapsed()))
        });
        let (ok, took) = probe.await?;
        Ok((name.to_owned(), ok, took))
    }

    async fn of_load_balancers(&self) -> Vec<Probed> {
        let mut probed = Vec::new();
        for client in &self.through_envoy {
            for path in ["/livez", "/readyz", "/healthz"] {
                let started = Instant::now();
                let ok = client.get(path).await.is_ok_and(|answer| answer.status.is_success());
                probed.push((format!("{path} through Envoy"), ok, started.elapsed()));
            }
        }
        probed
    }
}

/// Fails unless all probes ended as they had to, and in the promised time; the slowest.
pub fn judge(probed: &[Probed], succeeds: bool) -> Result<Duration> {
    let wrong: Vec<_> = probed.iter().filter(|(_, ok, _)| *ok != succeeds).collect();
    ensure!(wrong.is_empty(), "success must be {succeeds}: {wrong:#?}");
    let slowest = probed.iter().map(|(.., took)| *took).max().context("no probes")?;
    promise::ensure_kept("the slowest probe ended", PROMISE, slowest)?;
    Ok(slowest)
}
