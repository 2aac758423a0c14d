//! Control-plane nodes of kubeadm, with Envoy in the place of their API servers: three machines in
//! network namespaces of their own, of which one is newer.
//!
//! ```text
//!              cp-1 (older)                      cp-2 (older)     cp-3 (newer)
//!   clients ──▶ 192.0.2.11:6443 Envoy ─other──▶ …:6444 Envoy      …
//!                     │ local first                  │ TCP
//!                     ▼                              ▼
//!               127.0.0.1:6443 API server        API server ──▶ etcd (shared)
//! ```
//!
//! kubeadm makes certificates, kubeconfigs and manifests, `docs/kubeadm.md` has the commands, and
//! what the manifests say runs ([`static_pods`]). Controller managers and schedulers reach the node's
//! address, as kubeadm's kubeconfigs say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::{KUBERNETES_SLICE, addresses_in};
use harness::namespace;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER, only_in};
use harness::wait;
use serde_json::Value;
use wire::client::{Client, Http};

mod machine;
mod nodes;
mod probes;
#[cfg(feature = "slow")]
mod slow;
mod static_pods;

use nodes::{CLIENTS, DEADLINE, Nodes, With};
use probes::{Prober, judge};

const API_SERVER: &str = "kube-apiserver";
const ENVOY: &str = "mixed-version-envoy";

/// How often each request is sent.
const TIMES: usize = 20;

const UNKNOWN: &str = "/apis/nothing.example/v1/things";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

/// Envoys of nodes set it.
const PASSED: (&str, &str) = ("x-mixed-version-proxy-passed", "1");

#[test]
fn kubeadm_nodes_serve_every_type_and_answer_local_paths_themselves() -> Result<()> {
    let test = "kubeadm_nodes_serve_every_type_and_answer_local_paths_themselves";
    namespace::run_test(module_path!(), test, &[], serve())
}

async fn serve() -> Result<()> {
    let mut entry = Entry::begin("cluster_node");
    let started = Instant::now();
    let mut nodes = Nodes::start(&[OLDER, OLDER, NEWER], With::Envoy).await?;
    for index in 0..3 {
        nodes.wait_serving(index, 3).await?;
    }
    entry.set_ms("startedMs", started.elapsed());

    // The check of the document reads them.
    endpoints_are_the_nodes(&nodes).await?;
    answers_of_every_node(&nodes).await.context("answers of every node")?;
    let counted = filtered_once(&nodes).await.context("each request is filtered once")?;
    entry.set("requestsFilteredOnce", counted);
    components_use_their_node(&nodes).await?;
    let slowest = local_server_fails(&nodes).await.context("a local server fails")?;
    entry.set_ms("slowestFailedProbeMs", slowest);
    loops_are_refused(&mut nodes).await.context("a peer is another Envoy")?;
    let slowest = others_fail(&nodes).await.context("the other servers fail")?;
    entry.set_ms("slowestProbeWhileOthersAreDownMs", slowest);
    entry.passed()
}

/// A type of the newest server is served at each node, and true 404s stay.
async fn answers_of_every_node(nodes: &Nodes) -> Result<()> {
    let skewed = only_in(NEWER, OLDER)?;
    for index in 0..3 {
        let client = nodes.client(index, Http::Two)?;
        for _ in 0..TIMES {
            client.get(&skewed).await?.ok()?;
        }
        // While a busy server cannot be read, Envoy answers 503.
        wait::until("a true 404", DEADLINE, async || {
            let unknown = client.get(UNKNOWN).await?;
            ensure!(unknown.is_type_level_404(), "{unknown:?}");
            Ok(())
        })
        .await?;
        let object = client.get("/api/v1/namespaces/default/configmaps/none").await?;
        ensure!(object.status == 404 && !object.is_type_level_404(), "{object:?}");
        // Which server it is, another one must not say.
        let version = client.get("/version").await?.ok()?.json()?;
        let minor = version.get("minor").and_then(Value::as_str);
        let own = nodes.node(index)?.version.as_str().trim_start_matches("1.").to_owned();
        ensure!(minor == Some(own.as_str()), "{version}");
        let checked = check(nodes, index).await?;
        ensure!(checked.contains("ok"), "{checked}");
    }
    Ok(())
}

/// Each request is in one Envoy's log, and once, whichever node's server answered it.
async fn filtered_once(nodes: &Nodes) -> Result<usize> {
    let skewed = only_in(NEWER, OLDER)?;
    let mut paths = Vec::new();
    for index in 0..3 {
        let client = nodes.client(index, Http::Two)?;
        for number in 0..TIMES {
            for (kind, collection) in [("common", "/api/v1/nodes"), ("skewed", &skewed)] {
                let path = format!("{collection}/{kind}-{index}-{number}");
                let answer = client.get(&path).await?;
                ensure!(answer.status == 404 && !answer.is_type_level_404(), "{answer:?}");
                paths.push(path);
            }
        }
    }
    wait::until("the access logs", DEADLINE, async || {
        let mut logs = Vec::new();
        for node in nodes.all() {
            logs.push(node.pods.log(ENVOY)?);
        }
        for path in &paths {
            let field = format!("\"path\":\"{path}\"");
            let count: usize = logs.iter().map(|log| log.matches(&field).count()).sum();
            ensure!(count == 1, "{path} is in the logs {count} times");
        }
        Ok(())
    })
    .await?;
    // With the header of an Envoy, a request has passed one already.
    let answer = nodes.client(0, Http::Two)?;
    let answer = answer.send_with(reqwest::Method::GET, "/api/v1/nodes", &[PASSED]).await?;
    ensure!(answer.status == 508, "{answer:?}");
    ensure!(answer.json()?.get("kind").is_some_and(|kind| kind == "Status"), "{answer:?}");
    Ok(paths.len())
}

/// Runs the document's check until it succeeds: a busy server may miss the time limit of a health
/// check.
async fn check(nodes: &Nodes, index: usize) -> Result<String> {
    wait::until("the check", DEADLINE, async || nodes.run(index, "Check", 0)).await
}

/// Pods find Envoys where they found API servers. A server writes its address after it is ready,
/// and tries again after ten seconds if another one wrote at the same time.
async fn endpoints_are_the_nodes(nodes: &Nodes) -> Result<()> {
    let client = nodes.client(0, Http::Two)?;
    let expected: BTreeSet<_> =
        nodes.all().iter().map(|node| node.machine.address().to_string()).collect();
    let slice = wait::until("the endpoints of all nodes", DEADLINE, async || {
        let slice = client.get(KUBERNETES_SLICE).await?.ok()?.json()?;
        ensure!(addresses_in(&slice)? == expected, "{slice}");
        Ok(slice)
    })
    .await?;
    let port = slice.pointer("/ports/0/port").and_then(Value::as_u64);
    ensure!(port == Some(u64::from(CLIENTS)), "{slice}");
    Ok(())
}

/// Controller managers and schedulers work, by the Envoy of their node.
async fn components_use_their_node(nodes: &Nodes) -> Result<()> {
    let client = nodes.client(0, Http::Two)?;
    for component in ["kube-controller-manager", "kube-scheduler"] {
        wait::until(component, DEADLINE, async || {
            client.get(&format!("{LEASES}/{component}")).await?.ok().map(drop)
        })
        .await?;
        for node in nodes.all() {
            let agent = format!("\"user_agent\":\"{component}/");
            wait::until(component, DEADLINE, async || {
                let log = node.pods.log(ENVOY)?;
                ensure!(log.contains(&agent), "not in the log of {}", node.machine.name());
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// A local server that hangs or is dead fails its probes within two seconds, and only these:
/// clients of the node are answered by the others. Returns the slowest probe.
async fn local_server_fails(nodes: &Nodes) -> Result<Duration> {
    use nix::sys::signal::Signal;
    let node = nodes.node(0)?;
    let prober = Prober::new(nodes, 0)?;
    node.pods.signal(API_SERVER, Signal::SIGSTOP)?;
    let hanging = prober.hanging().await;
    node.pods.signal(API_SERVER, Signal::SIGCONT)?;
    let mut slowest = judge(&hanging?, false)?;

    node.pods.hold(API_SERVER)?;
    slowest = slowest.max(judge(&prober.all(TIMES).await?, false)?);
    let client = nodes.client(0, Http::Two)?;
    for path in ["/api/v1/namespaces", &only_in(NEWER, OLDER)?] {
        served(&client, path).await?;
    }
    node.pods.release(API_SERVER)?;
    nodes.wait_ready(node).await?;
    nodes.wait_serving(0, 3).await?;
    Ok(slowest)
}

/// When only a node's own server is left, no probe of it fails. Returns the slowest.
async fn others_fail(nodes: &Nodes) -> Result<Duration> {
    for index in [1, 2] {
        nodes.node(index)?.pods.hold(API_SERVER)?;
    }
    let slowest = judge(&Prober::new(nodes, 0)?.all(TIMES).await?, true)?;
    served(&nodes.client(0, Http::Two)?, "/api/v1/namespaces").await?;
    Ok(slowest)
}

/// Waits until a request is answered each time.
async fn served(client: &Client, path: &str) -> Result<()> {
    wait::until(path, DEADLINE, async || {
        for _ in 0..TIMES {
            client.get(path).await?.ok()?;
        }
        anyhow::Ok(())
    })
    .await
}

/// A peer whose address is another node's Envoy gets no request, and the companion says why.
async fn loops_are_refused(nodes: &mut Nodes) -> Result<()> {
    let configure = nodes.document.commands("Install", 1)?;
    nodes.run_with_peers(0, configure, &nodes.peers_but(Some((1, CLIENTS))))?;
    wait::until("the peer that is an Envoy", DEADLINE, async || {
        let peers = nodes.peers_seen(0).await?;
        let peer = peers.iter().find(|peer| peer.get("name").is_some_and(|name| name == "cp-2"));
        let peer = peer.context("cp-2")?;
        ensure!(peer.get("state").is_some_and(|state| state != "serving"), "{peer}");
        ensure!(peer.to_string().contains("508"), "{peer}");
        Ok(())
    })
    .await?;
    served(&nodes.client(0, Http::Two)?, "/api/v1/namespaces").await?;
    nodes.run(0, "Install", 1)?;
    nodes.wait_serving(0, 3).await
}
