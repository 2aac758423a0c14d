//! All nodes are upgraded and rolled back, one after the other, under load: API servers, controller
//! managers and schedulers. The garbage collector deletes no child of a living owner.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::load::Operation;
use harness::namespace;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use serde_json::Value;
use wire::client::{Client, Http};

use super::super::nodes::{Nodes, With};
use super::{Clients, DEADLINE, PROMISE, Span, Verdict, ensure_filtered_once};
use crate::garbage_collection::families::{self, CHILDREN, Family, OWNER_KIND};

const FAMILIES: usize = 5;

#[test]
fn kubeadm_nodes_are_upgraded_and_rolled_back_and_nobody_loses_anything() -> Result<()> {
    let test = "kubeadm_nodes_are_upgraded_and_rolled_back_and_nobody_loses_anything";
    namespace::run_test(module_path!(), test, &[], upgraded())
}

async fn upgraded() -> Result<()> {
    let mut entry = Entry::begin("cluster_node_upgrade");
    let mut nodes = Nodes::start(&[OLDER; 3], With::Envoy).await?;
    for index in 0..3 {
        nodes.wait_serving(index, 3).await?;
    }
    let clients = Clients::start(&nodes)?;
    clients.work(0..3).await?;

    let mut stops = Vec::new();
    let mut known_from = None;
    for index in 0..3 {
        stops.push(restart(&mut nodes, index, NEWER).await?.away);
        known_from.get_or_insert_with(|| Instant::now() + PROMISE);
    }
    clients.work(0..3).await?;
    let admin = nodes.client(2, Http::Two)?;
    families::watched(&admin, "nodes").await.context("the garbage collector")?;
    let mut families = Vec::new();
    for number in 0..FAMILIES {
        families.push(Family::create(&admin, &format!("family-{number}")).await?);
    }
    for index in 0..2 {
        stops.push(restart(&mut nodes, index, OLDER).await?.away);
    }
    for family in &families {
        family.delete_second_owner(&admin).await?;
    }
    looked_at(&admin, &families).await?;
    let last = restart(&mut nodes, 2, OLDER).await?;
    stops.push(last.away);
    // When all servers are of the older version, the type does not exist.
    let known_to = last.unready;
    clients.work(0..3).await?;
    let children = families::count(&admin, &families).await?;

    let journals = clients.finish().await?;
    ensure_filtered_once(&nodes)?;
    entry.set("childrenOfLivingOwnersDeleted", FAMILIES * CHILDREN * 2 - children);
    let known_from = known_from.context("an upgrade")?;
    let wrong = |o: &Operation| {
        let known = o.label == "skewed" && o.started >= known_from && o.ended <= known_to;
        known && o.is_type_level_404()
    };
    let mut verdicts = Vec::new();
    for (index, journal) in journals.iter().enumerate() {
        let verdict = Verdict::of(journal, &stops, &[]);
        verdict.report(index, &mut entry);
        let wrong = journal.operations(wrong);
        entry.set(&format!("node{}SkewedWrong404s", index + 1), wrong.len());
        ensure!(wrong.is_empty(), "wrong 404s: {wrong:#?}");
        verdicts.push(verdict);
    }
    for (index, verdict) in verdicts.iter().enumerate() {
        verdict.ensure_good(index)?;
    }
    ensure!(children == FAMILIES * CHILDREN * 2, "only {children} children of living owners");
    entry.passed()
}

/// An API server that was replaced.
struct Restart {
    /// From when to when it may have been away.
    away: Span,
    /// When the new one was asked last, of the times that it was not ready.
    unready: Instant,
}

/// Has kubeadm write the manifests of another version, as its upgrade does, and waits until all that
/// they say runs.
async fn restart(nodes: &mut Nodes, index: usize, version: Version) -> Result<Restart> {
    nodes.node_mut(index)?.version = version;
    let begun = Instant::now();
    nodes.write_manifests(index)?;
    let client = nodes.client(index, Http::Two)?;
    let minor = version.as_str().trim_start_matches("1.").to_owned();
    let mut unready = begun;
    wait::until("the other version", DEADLINE, async || {
        let asked = Instant::now();
        let is_ready = async || {
            let answer = client.get("/version").await?.ok()?.json()?;
            ensure!(answer.get("minor").and_then(Value::as_str) == Some(&minor), "{answer}");
            client.get("/readyz").await?.ok().map(drop)
        };
        is_ready().await.inspect_err(|_| unready = asked)
    })
    .await?;
    let ended = Instant::now();
    for other in 0..nodes.all().len() {
        nodes.wait_serving(other, 3).await?;
    }
    Ok(Restart { away: (begun, ended), unready })
}

/// Waits until the collector has looked at all children that had a second owner.
async fn looked_at(admin: &Client, families: &[Family]) -> Result<()> {
    wait::until("the collector", DEADLINE, async || {
        let owners = families::owners_of_children(admin).await?;
        for child in families.iter().flat_map(Family::shared) {
            let kinds = owners.get(&child).with_context(|| format!("{child} was deleted"))?;
            ensure!(kinds.as_slice() == [OWNER_KIND], "{child}: {kinds:?}");
        }
        Ok(())
    })
    .await
}
