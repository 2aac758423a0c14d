//! A deleted namespace is removed completely. The namespace controller learns from
//! discovery which types may be in it; objects of a type that it does not learn
//! of, or gets a wrong 404 for, stay in etcd forever, below a deleted namespace.
//!
//! ```text
//!   namespace controller ──▶ Envoy ─┬▶ old: has autoscalers, no jobs; frozen while a
//!                                   │        custom resource is defined
//!                                   └▶ new: has jobs, no autoscalers
//! ```
//!
//! Each round fills some namespaces with objects of a type that both servers
//! have, of one that each has alone, and of a custom resource that `old` has not
//! yet established when the deletion begins; then a server is killed, and comes
//! back. The test then looks for remaining objects in etcd.
//!
//! The same without the filter, and with no server killed, leaves objects behind.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::control_plane::{ControllerManagerOptions, ServerOptions, User};
use harness::manifests::{
    DEFINITIONS, NAMESPACES, autoscaler, config_map, custom_object, definition, deployment, job,
    namespace,
};
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::skew::{NEWER, OLDER};
use harness::stack::Stack;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;
use wire::client::{Client, Http};

use super::removal::{DEADLINE, gone, left};

const OLD: usize = 0;
const NEW: usize = 1;

/// Four rounds of five: twenty namespaces.
const ROUNDS: usize = 4;
const NAMESPACES_A_ROUND: usize = 5;

const GROUP: &str = "left.example";

/// How long deletions run before a frozen server continues: too short for the
/// companion to take it out of rotation.
const FROZEN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_deleted_namespace_is_removed_completely() -> Result<()> {
    let mut entry = Entry::begin("cluster_namespaces");
    let mut site = Site::start(servers()).await?;
    let without = without_filter(&site).await?;
    entry.set("leftWithoutFilter", json!(without));
    ensure!(!without.is_empty(), "nothing is left without the filter either");

    let _manager = site.plane.controller_manager(&manager(site.stack.url())).await?;
    let mut deleted = 0;
    for round in 0..ROUNDS {
        let names = names(&format!("round-{round}"));
        let plural = format!("leftovers{round}s");
        let stored = fill_and_delete(&mut site, &names, &plural).await?;
        // All of them were there: each namespace's own key and one for each object.
        for (name, keys) in &stored {
            ensure!(keys.len() == OBJECTS + 1, "{name}: {keys:?}");
        }
        restart(&mut site, round).await?;
        gone(&site.client(Http::Two)?, &names).await?;
        let left = left(&site, &names).await?;
        ensure!(left.is_empty(), "round {round}: {left:#?}");
        deleted += names.len();
    }
    entry.set("deleted", deleted);
    entry.passed()
}

/// Returns two servers; each has a namespaced type that the other lacks.
fn servers() -> Vec<ServerOptions> {
    vec![
        ServerOptions::new("old", OLDER).argument("--runtime-config=batch/v1=false"),
        ServerOptions::new("new", NEWER)
            .argument("--runtime-config=autoscaling/v1=false,autoscaling/v2=false"),
    ]
}

fn manager(url: String) -> ControllerManagerOptions {
    ControllerManagerOptions {
        version: NEWER,
        url,
        user: User::ControllerManager,
        controllers: vec!["namespace-controller".to_owned()],
        arguments: vec!["--kube-api-qps=200".to_owned(), "--kube-api-burst=200".to_owned()],
    }
}

fn names(prefix: &str) -> Vec<String> {
    (0..NAMESPACES_A_ROUND).map(|number| format!("{prefix}-{number}")).collect()
}

/// What [`fill`] makes in a namespace, with [`fill_custom`].
const OBJECTS: usize = 5;

/// Objects of types that both servers have, and that one has alone.
async fn fill(admin: &Client, name: &str) -> Result<()> {
    admin.post(NAMESPACES, &namespace(name)).await?.ok()?;
    let objects = [
        ("api/v1", "configmaps", config_map("common")),
        ("apis/apps/v1", "deployments", deployment("common")),
        ("apis/batch/v1", "jobs", job("of-new")),
        ("apis/autoscaling/v2", "horizontalpodautoscalers", autoscaler("of-old")),
    ];
    for (version, plural, object) in objects {
        admin.post(&format!("/{version}/namespaces/{name}/{plural}"), &object).await?.ok()?;
    }
    Ok(())
}

/// Deletes namespaces by the namespace controller through a plain round robin:
/// the keys that are left when they have gone.
async fn without_filter(site: &Site) -> Result<Vec<String>> {
    let mut options = stack_options(&site.plane, "plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let names = names("without-filter");
    let admin = site.client(Http::Two)?;
    for name in &names {
        fill(&admin, name).await?;
        admin.delete(&format!("{NAMESPACES}/{name}")).await?.ok()?;
    }
    let _manager = site.plane.controller_manager(&manager(plain.url())).await?;
    gone(&admin, &names).await?;
    left(site, &names).await
}

/// Fills namespaces and has them deleted while one server does not know a
/// custom resource that is in them: what etcd had of each before.
async fn fill_and_delete(
    site: &mut Site,
    names: &[String],
    plural: &str,
) -> Result<BTreeMap<String, Vec<String>>> {
    let admin = site.client(Http::Two)?;
    let direct = site.direct(NEW, Http::Two)?;
    for name in names {
        fill(&admin, name).await?;
    }
    freeze(site, true)?;
    direct.post(DEFINITIONS, &definition(plural, GROUP)).await?.ok()?;
    for name in names {
        let collection = format!("/apis/{GROUP}/v1/namespaces/{name}/{plural}");
        wait::until("the custom resource at one server", DEADLINE, async || {
            direct.post(&collection, &custom_object(plural, GROUP, "custom")).await?.ok()
        })
        .await?;
    }
    let mut stored = BTreeMap::new();
    for name in names {
        stored.insert(name.clone(), left(site, std::slice::from_ref(name)).await?);
    }
    for name in names {
        direct.delete(&format!("{NAMESPACES}/{name}")).await?.ok()?;
    }
    // Requests of the controller that reach `old` now are answered by a server
    // that has just continued, and does not know the definition.
    tokio::time::sleep(FROZEN).await;
    freeze(site, false)?;
    Ok(stored)
}

fn freeze(site: &mut Site, frozen: bool) -> Result<()> {
    let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
    match site.plane.server_mut(OLD)?.process() {
        Some(process) => process.signal(signal),
        None => Ok(()),
    }
}

/// Kills one server after the other, round by round, and starts it again.
async fn restart(site: &mut Site, round: usize) -> Result<()> {
    let server = site.plane.server_mut(if round.is_multiple_of(2) { OLD } else { NEW })?;
    server.kill_9();
    server.start_again().await?;
    // The next round creates objects of the types that it alone has.
    site.stack.wait_for_map("both servers", |map| map.rotation.len() == 2).await
}
