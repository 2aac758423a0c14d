//! The proxy comes into a running control plane of kubeadm, a node joins and leaves, and the proxy
//! goes again, under load, by the commands of `docs/kubeadm.md`: each of them is run.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::namespace;
use harness::promise;
use harness::report::Entry;
use harness::skew::OLDER;

use super::super::nodes::{CLIENTS, Nodes, PASS_THROUGH, With};
use super::super::{check, endpoints_are_the_nodes};
use super::{Clients, DEADLINE, Span, Verdict};

#[test]
fn the_proxy_comes_to_running_kubeadm_nodes_and_goes_by_the_documented_commands() -> Result<()> {
    let test = "the_proxy_comes_to_running_kubeadm_nodes_and_goes_by_the_documented_commands";
    namespace::run_test(module_path!(), test, &[], installed())
}

async fn installed() -> Result<()> {
    let mut entry = Entry::begin("cluster_node_installing");
    let mut nodes = Nodes::start(&[OLDER; 3], With::KubeadmOnly).await?;
    let upload = "kubeadm init phase upload-config kubeadm --config /etc/kubeadm.yaml";
    nodes.node(0)?.machine.script(upload)?;
    let mut clients = Clients::start(&nodes)?;
    clients.work(0..3).await?;

    let begun = Instant::now();
    let mut spans: [Vec<Span>; 3] = Default::default();
    let before = nodes.commands_run.get();
    for (index, own) in spans.iter_mut().enumerate() {
        own.push(install(&mut nodes, index).await.context("install")?);
        clients.work(0..3).await?;
    }
    entry.set_ms("installedMs", begun.elapsed());
    endpoints_are_the_nodes(&nodes).await?;
    // With the check, however often it runs.
    let commands = nodes.commands_run.get() - before + 1;
    let checked = check(&nodes, 0).await?;
    ensure!(checked.contains("192.0.2.11 192.0.2.12 192.0.2.13:6443"), "{checked}");
    let took = begun.elapsed();
    promise::ensure_short_installation(commands, took)?;
    entry.set("commands", commands);
    for index in [1, 2] {
        check(&nodes, index).await?;
    }

    join(&mut nodes).await.context("a fourth node joins")?;
    clients.add(&nodes, 3)?;
    clients.work(0..4).await?;
    leave(&mut nodes, &mut clients).await.context("it leaves")?;

    for (index, own) in spans.iter_mut().enumerate() {
        own.push(take_out(&mut nodes, index).await.context("take it out")?);
        clients.work(0..3).await?;
    }

    let journals = clients.finish().await?;
    for (index, (journal, own)) in journals.iter().zip(&spans).enumerate() {
        let verdict = Verdict::of(journal, &[], own);
        verdict.report(index, &mut entry);
        verdict.ensure_good(index)?;
    }
    nodes.document.ensure_all_used()?;
    entry.passed()
}

/// Returns how long the node's API server, or Envoy in its place, may have been away.
async fn install(nodes: &mut Nodes, index: usize) -> Result<Span> {
    nodes.run(index, "Install", 0)?;
    let ended = Instant::now();
    // Until kubeadm writes the API server's manifest, nobody notices anything.
    let manifest = nodes.node(index)?.machine.etc("kubernetes/manifests/kube-apiserver.yaml");
    let begun = ended - fs::metadata(manifest)?.modified()?.elapsed()?;
    nodes.node_mut(index)?.port = PASS_THROUGH;
    for done in 0..index {
        nodes.run(done, "Install", 1)?;
    }
    for done in 0..=index {
        nodes.wait_serving(done, 3).await?;
    }
    Ok((begun, ended))
}

/// `kubeadm join` needs a kubelet; what it writes is written by its phases.
async fn join(nodes: &mut Nodes) -> Result<()> {
    nodes.installs_envoy();
    nodes.prepare(OLDER).await?;
    nodes.start_pods(3)?;
    nodes.wait_ready(nodes.node(3)?).await?;
    for index in 0..3 {
        nodes.run(index, "Add a node", 1)?;
    }
    for index in 0..4 {
        nodes.wait_serving(index, 4).await?;
    }
    Ok(())
}

/// Its clients go before it.
async fn leave(nodes: &mut Nodes, clients: &mut Clients) -> Result<()> {
    let load = clients.loads.pop().context("clients of the node")?;
    let verdict = Verdict::of(&load.finish().await?, &[], &[]);
    verdict.ensure_good(3)?;
    nodes.remove_last()?;
    for index in 0..3 {
        nodes.run(index, "Remove a node", 0)?;
    }
    for index in 0..3 {
        nodes.wait_serving(index, 3).await?;
    }
    clients.work(0..3).await
}

async fn take_out(nodes: &mut Nodes, index: usize) -> Result<Span> {
    let begun = Instant::now();
    nodes.run(index, "Take it out", 0)?;
    let ended = Instant::now();
    nodes.node_mut(index)?.port = CLIENTS;
    for left in index + 1..3 {
        nodes.run(left, "Take it out", 1)?;
        nodes.wait_serving(left, 3).await?;
    }
    let machine = &nodes.node(index)?.machine;
    let cluster = "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system \
                   get configmap kubeadm-config -o yaml";
    let cluster = machine.script(cluster)?;
    ensure!(!cluster.contains("bind-address"), "{cluster}");
    ensure!(!machine.etc("mixed-version-proxy").exists(), "files are left");
    ensure!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    Ok((begun, ended))
}
