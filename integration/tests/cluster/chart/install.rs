//! The commands of `docs/hosted.md`, in a cluster that hosts its own control plane: two
//! kube-apiservers of different versions. KWOK says that pods run; what would run in one of them,
//! the real companion and the real Envoy with the pod's files and arguments, this test starts.
//!
//! ```text
//!   kubectl, helm ──▶ kube-apiserver (newer) ──ConfigMaps, Secrets, the pod──▶ its files
//!                         ▲ controller manager, scheduler, KWOK                    │
//!                         └── list, watch EndpointSlices ── companion ◀────────────┤
//!   clients ──▶ Envoy (the pod's ports) ──▶ kube-apiserver (older, newer)  ◀───────┘
//! ```
//!
//! With the feature `slow`, pods are replaced as well.

use std::time::Instant;

use anyhow::{Result, ensure};
use harness::artifacts::Artifact;
use harness::document::Document;
use harness::namespace;
use harness::promise;
use harness::report::Entry;
use harness::wait;
use serde_json::json;

use super::{chart, example};
use crate::hosted::pods::NAMESPACE;

mod cluster;
mod commands;
mod permissions;

use cluster::{Cluster, DEADLINE};
use commands::Commands;

/// Lists all that the chart makes, but for the volumes, which stay.
const EVERYTHING: &str = "kubectl get all,configmap,role,rolebinding,networkpolicy,pdb,serviceaccount \
    -A -o name --selector app.kubernetes.io/part-of=mixed-version-proxy";

#[test]
fn the_documented_commands_protect_a_hosted_control_plane() -> Result<()> {
    let test = "the_documented_commands_protect_a_hosted_control_plane";
    let host = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", "443")];
    if !namespace::enter_with(module_path!(), test, &host)? {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(installed())
}

async fn installed() -> Result<()> {
    let mut entry = Entry::begin("cluster_chart");
    let cluster = Cluster::start().await?;
    let commands = Commands::new(&cluster.plane, &cluster.folder)?;
    prepare(&commands)?;

    let begun = Instant::now();
    let document = Document::read("docs/hosted.md")?;
    let (install, check) = (document.all("Install")?, document.all("Check")?);
    let count = install.len() + check.len();
    ensure!(count <= promise::MOST_COMMANDS, "{install:?} {check:?}");
    for command in &install {
        commands.run(command)?;
    }
    let ready = commands.run(&check.join("\n"))?;
    ensure!(ready.matches("1/1").count() + ready.matches("2/2").count() == 2, "{ready}");
    entry.set("commands", count);
    entry.set_ms("installedMs", begun.elapsed());

    let mut running = cluster.run_pod().await?;
    let took = begun.elapsed();
    entry.set_ms("protectedMs", took);
    promise::ensure_short_installation(count, took)?;
    cluster.is_protected(&mut entry).await?;
    running.is_observable().await?;
    permissions::are_least(&cluster, &mut running).await?;
    drop(running);

    if cfg!(feature = "slow") {
        changes(&commands)?;
    }
    fleet(&commands)?;
    commands.run(&document.all("Upgrade, and out again")?.join("\n"))?;
    wait::until("everything to be gone", DEADLINE, async || {
        let left = commands.run(EVERYTHING)?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
    .await?;
    entry.passed()
}

/// Makes what the document says that there is, and more that others may have.
fn prepare(commands: &Commands) -> Result<()> {
    let label = "pod-security.kubernetes.io";
    commands.run(&format!(
        "kubectl label namespace {NAMESPACE} {label}/enforce=restricted {label}/warn=restricted"
    ))?;
    commands.apply(&json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }))?;
    for number in 0..4 {
        commands.apply(&json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": format!("volume-{number}") },
            "spec": {
                "storageClassName": "local",
                "capacity": { "storage": "1Gi" },
                "accessModes": ["ReadWriteOnce"],
                "hostPath": { "path": "/var/lib/volumes" },
            },
        }))?;
    }
    let crds = Artifact::Kubeconform.path()?.with_file_name("crds");
    commands.run(&format!("kubectl create -f {}", crds.display()))?;
    Ok(())
}

/// A new configuration of Envoy replaces the pods; that of the control plane does not.
fn changes(commands: &Commands) -> Result<()> {
    let pods = || {
        commands.run(&format!(
            "kubectl get pods -n {NAMESPACE} -o jsonpath='{{.items[*].metadata.uid}}'"
        ))
    };
    let upgrade = "helm upgrade mixed-version-proxy charts/mixed-version-proxy -n hosted --wait --reuse-values";
    let before = pods()?;
    commands.run(&format!("{upgrade} --set controlPlane.config.forgetAfter=10m"))?;
    ensure!(pods()? == before, "pods were replaced");
    commands.run(&format!("{upgrade} --set envoy.maxConnections=1000"))?;
    let after = pods()?;
    ensure!(before.split(' ').all(|uid| !after.contains(uid)), "{before} {after}");
    Ok(())
}

/// The other form, with everything that is optional, is accepted as well.
fn fleet(commands: &Commands) -> Result<()> {
    commands.run("kubectl create namespace blue")?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    commands
        .run(&format!("kubectl create namespace fleet && kubectl label namespace fleet {label}"))?;
    let chart = chart();
    let install =
        format!("helm install fleet {} -n fleet --wait {}", chart.display(), example("fleet"));
    commands.run(&install)?;
    commands.run("helm uninstall fleet -n fleet --wait")?;
    Ok(())
}
