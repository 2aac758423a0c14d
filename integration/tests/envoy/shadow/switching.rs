//! Switches between enforcing and shadow mode while clients work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use discovery_map::Mode;
use fake_apiserver::Version;
use fake_apiserver::replay::PEER_HEADER;
use harness::fleet::Fleet;
use harness::manifests::{CONFIG_MAPS, config_map};
use harness::stack::Stack;
use harness::wait;
use serde_json::json;
use tokio::task::JoinSet;
use wire::client::{Client, Http};

const SKEWED: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

const DEADLINE: Duration = Duration::from_secs(30);

/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(5);

/// Switches so often between the two modes, and back, under load.
pub(crate) async fn under_load(switches: usize) -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    options.companion = json!({ "mode": Mode::Enforce });
    // As shipped, so that the servers' levels change with the mode.
    options.answering_version = None;
    let mut stack = Stack::start_with_map(options).await?;
    let listener = drained(&stack).await?;

    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for (number, http) in [Http::One, Http::Two, Http::One, Http::Two].into_iter().enumerate() {
        let client = fleet.client(&stack.url(), http)?;
        let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
        clients.spawn(async move { work(client, number, &over, &sent).await });
    }
    let watch = fleet.client(&stack.url(), Http::Two)?;
    let mut watch = watch.stream(&format!("{CONFIG_MAPS}?watch=true")).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let mut times = Vec::new();
    for number in 0..switches {
        let mode = if number % 2 == 0 { Mode::Shadow } else { Mode::Enforce };
        let begun = Instant::now();
        stack.configure(json!({ "mode": mode }))?;
        stack.wait_for_map(mode.as_str(), |map| map.mode == mode).await?;
        is_in(mode, &client).await?;
        times.push(begun.elapsed());
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    // The watch saw what the clients did, and is still open.
    ensure!(watch.chunk().await?.is_some(), "the watch ended");
    assert_eq!(drained(&stack).await?, listener, "connections were drained");
    times.sort();
    let (median, longest) = (times.get(times.len() / 2), times.last());
    let requests = sent.load(Ordering::Relaxed);
    ensure!(requests > 20 * switches, "only {requests} requests");
    println!("{switches} switches, {requests} requests: median {median:?}, longest {longest:?}");
    Ok(())
}

/// One object's life after the other, and a type that only one server has: in one mode its server
/// answers, in the other one each of them.
async fn work(client: Client, number: usize, over: &AtomicBool, sent: &AtomicUsize) -> Result<()> {
    let mut life = 0;
    while !over.load(Ordering::Relaxed) {
        life += 1;
        let name = format!("client-{number}-{life}");
        let path = format!("{CONFIG_MAPS}/{name}");
        client.post(CONFIG_MAPS, &config_map(&name)).await?.ok().context("create")?;
        client.get(&path).await?.ok().context("get")?;
        client.delete(&path).await?.ok().context("delete")?;
        let skewed = client.get(SKEWED).await?;
        let is_of = |server: &str| skewed.header(PEER_HEADER) == Some(server);
        let status = skewed.status.as_u16();
        ensure!(
            status == 200 && is_of("cp-2") || skewed.is_type_level_404() && is_of("cp-1"),
            "{status} {}",
            skewed.text()
        );
        sent.fetch_add(4, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Fails unless the filter does what it does in this mode. In shadow mode, all versions answer, as soon
/// as Envoy has the endpoints.
async fn is_in(mode: Mode, client: &Client) -> Result<()> {
    let not_found = async || {
        let mut count = 0;
        for _ in 0..8 {
            count += usize::from(client.get(SKEWED).await?.status == 404);
        }
        anyhow::Ok(count)
    };
    if mode == Mode::Shadow {
        return wait::until("wrong 404s", DEADLINE, async || {
            ensure!(not_found().await? > 0, "no 404 in shadow mode");
            Ok(())
        })
        .await;
    }
    let count = not_found().await?;
    ensure!(count == 0, "{count} of 8 are 404 in mode {mode}");
    Ok(())
}

/// How many connections Envoy has drained, and how many listeners it replaced.
async fn drained(stack: &Stack) -> Result<[u64; 3]> {
    let mut found = [0; 3];
    let names = [
        "listener_manager.listener_modified",
        "listener_manager.lds.update_success",
        "http.kubernetes.downstream_cx_drain_close",
    ];
    for (count, name) in found.iter_mut().zip(names) {
        *count = stack.envoy.stat(name).await?.unwrap_or_default();
    }
    Ok(found)
}
