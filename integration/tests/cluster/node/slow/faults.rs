//! Parts of nodes fail under load while versions differ, and only the clients of that node notice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::namespace;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER};
use nix::sys::signal::Signal;

use super::super::ENVOY;
use super::super::nodes::{Nodes, With};
use super::{Clients, Span, Verdict, ensure_filtered_once};

/// How long a node is cut off.
const CUT: Duration = Duration::from_secs(60);

/// Until clients and servers know of each other again.
const SETTLING: Duration = Duration::from_secs(5);

const COMPANION: &str = "mixed-version-companion";

#[test]
fn a_kubeadm_node_that_loses_a_part_harms_its_own_clients_at_most() -> Result<()> {
    let test = "a_kubeadm_node_that_loses_a_part_harms_its_own_clients_at_most";
    namespace::run_test(module_path!(), test, &[], faults())
}

async fn faults() -> Result<()> {
    let mut entry = Entry::begin("cluster_node_faults");
    let nodes = Nodes::start(&[OLDER, OLDER, NEWER], With::Envoy).await?;
    for index in 0..3 {
        nodes.wait_serving(index, 3).await?;
    }
    let clients = Clients::start(&nodes)?;
    clients.work(0..3).await?;

    let envoy = envoy_dies(&nodes, 0).await?;
    clients.work(0..3).await?;
    nodes.node(1)?.pods.signal(COMPANION, Signal::SIGKILL)?;
    clients.work(0..3).await?;
    nodes.wait_serving(1, 3).await?;
    let cut = cut_off(&nodes, &clients, 2).await?;
    clients.work(0..3).await?;

    let journals = clients.finish().await?;
    ensure_filtered_once(&nodes)?;
    // The third node's clients are answered by the others' servers, which have the answering version,
    // and one of these is reached by the Envoy that dies.
    let failing: [&[Span]; 3] = [&[envoy], &[], &[cut]];
    let mut verdicts = Vec::new();
    for (index, (journal, failing)) in journals.iter().zip(failing).enumerate() {
        let verdict = Verdict::of(journal, &[envoy], failing);
        verdict.report(index, &mut entry);
        let wrong = journal.operations(|o| o.label == "skewed" && o.is_type_level_404());
        entry.set(&format!("node{}SkewedWrong404s", index + 1), wrong.len());
        ensure!(wrong.is_empty(), "wrong 404s: {wrong:#?}");
        verdicts.push(verdict);
    }
    for (index, verdict) in verdicts.iter().enumerate() {
        verdict.ensure_good(index)?;
    }
    entry.passed()
}

/// `kill -9`; the kubelet starts it again.
async fn envoy_dies(nodes: &Nodes, index: usize) -> Result<Span> {
    let begun = Instant::now();
    nodes.node(index)?.pods.signal(ENVOY, Signal::SIGKILL)?;
    // Not at once: the old one's port is closed only when it has ended.
    nodes.ended(index, ENVOY).await?;
    nodes.wait_ready(nodes.node(index)?).await?;
    Ok((begun, Instant::now()))
}

/// Pulls a node's cable and puts it in again. The others' clients work all the time.
async fn cut_off(nodes: &Nodes, clients: &Clients, index: usize) -> Result<Span> {
    let begun = Instant::now();
    nodes.node(index)?.machine.set_connected(false)?;
    while begun.elapsed() < CUT {
        clients.work((0..3).filter(|other| *other != index)).await?;
    }
    nodes.node(index)?.machine.set_connected(true)?;
    nodes.wait_ready(nodes.node(index)?).await?;
    for other in 0..3 {
        nodes.wait_serving(other, 3).await?;
    }
    Ok((begun, Instant::now() + SETTLING))
}
