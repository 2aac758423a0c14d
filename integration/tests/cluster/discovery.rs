//! Discovery of real servers of the newest pair through Envoy: each of its forms is
//! the union and the same every time, and unmodified clients (its newer kubectl and 1.20, client-go, the Python package `kubernetes`, kube) find and use the
//! types that only one of the servers has.

use anyhow::{Result, ensure};
use harness::manifests::{POLICIES, TRUST_BUNDLES};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEW, OLD, servers};
use serde_json::{Value, json};
use wire::client::Http;

mod clients;
pub mod contents;
mod documents;
pub mod encodings;
mod kubectl;
mod native;
pub mod program;

/// The parts run on one site, for starting one takes long; a part that fails
/// does not hide the others.
#[tokio::test]
async fn every_client_discovers_and_uses_the_types_of_all_servers() -> Result<()> {
    let mut entry = Entry::begin("cluster_discovery");
    let site = Site::start(servers()).await?;
    the_servers_differ(&site).await?;
    let mut failures = Vec::new();
    let mut part = |name: &str, result: Result<Value>| match result {
        Ok(figures) => entry.set(name, figures),
        Err(error) => {
            entry.set(name, json!({ "failed": format!("{error:#}") }));
            failures.push(format!("{name}: {error:?}"));
        }
    };
    part("documents", documents::are_the_union(&site).await);
    part("forms", documents::have_all_forms(&site).await);
    part("servers' encodings", encodings::are_as_servers_write_them(&site).await);
    part("encodings", encodings::say_the_same_every_time(&site).await);
    part("refusals", documents::are_refused_as_by_a_server(&site).await);
    part("kubectl", kubectl::works(&site).await);
    for (name, client) in clients::all() {
        part(name, clients::works(&site, client).await);
    }
    entry.set("landed", json!(site.landed().await?));
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    entry.passed()
}

#[tokio::test]
async fn merged_discovery_equals_kubernetes_own_merge() -> Result<()> {
    let mut entry = Entry::begin("cluster_discovery_native");
    let (native, ours) = native::both_merges().await?;
    entry.set("groups", contents::array(&native, "items").len());
    // Their orders differ, unless Envoy passed a server's own merge.
    ensure!(native != ours, "Envoy passed a server's own merge");
    let differences = native::differences(&native, &ours)?;
    entry.set("differences", differences.len());
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(native::alike(&native) == native::alike(&ours), "the documents' metadata differs");
    entry.passed()
}

/// Checks the skew.
async fn the_servers_differ(site: &Site) -> Result<()> {
    for (collection, server, other) in [(POLICIES, NEW, OLD), (TRUST_BUNDLES, OLD, NEW)] {
        ensure!(site.direct(server, Http::Two)?.get(collection).await?.status.is_success());
        let unknown = site.direct(other, Http::Two)?.get(collection).await?;
        ensure!(unknown.is_type_level_404(), "{collection}: {}", unknown.text());
    }
    Ok(())
}
