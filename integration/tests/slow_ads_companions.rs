//! Two companions, of which one is killed and started again every five seconds for two minutes while
//! types come that only one server knows: no Envoy names a cluster that it does not have, no request
//! fails, and every Envoy has the latest map soon.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::ads::{self, AdsCompanion};
use harness::envoy::Envoy;
use harness::manifests::POLICIES;
use harness::report::Entry;
use harness::wait;

const DURATION: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_secs(5);
const ENVOYS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn companions_that_come_and_go_break_nothing() -> Result<()> {
    let mut entry = Entry::begin("slow_ads_companions");
    let (fleet, site) = ads::skewed().await?;
    let mut companions =
        [site.companion("companion-1").await?, site.companion("companion-2").await?];
    let ports = [companions[0].port, companions[1].port];
    let mut envoys = Vec::new();
    for number in 1..=ENVOYS {
        envoys.push(Envoy::start(site.envoy(&format!("envoy-{number}"), ports)?).await?);
    }
    all_have_everything(&companions).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut loads = Vec::new();
    for envoy in &envoys {
        let client = ads::client(&fleet, envoy).await?;
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        loads.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.get(POLICIES).await?.ok()?;
                sent.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        }));
    }

    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < DURATION {
        let started = Instant::now();
        let killed = round % 2;
        companions[killed].companion.kill_9();
        fleet.peers[1].add_crd(Crd::new(&format!("round{round}.example.com"), "Widget"))?;
        tokio::time::sleep(PERIOD / 2).await;
        companions[killed].companion.start_again().await?;
        companions[killed].companion.wait_ready().await?;
        all_have_everything(&companions).await?;
        tokio::time::sleep(PERIOD.saturating_sub(started.elapsed())).await;
        round += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await??;
    }
    for envoy in &envoys {
        let missing = envoy.stat("http.kubernetes.no_cluster").await?.unwrap_or_default();
        ensure!(missing == 0, "{missing} requests went to a cluster that is not there");
        let refused = envoy.stat("cluster_manager.cds.update_rejected").await?.unwrap_or_default();
        ensure!(refused == 0, "{refused} updates were refused");
    }
    ensure!(sent.load(Ordering::Relaxed) > 1_000, "hardly any request was sent");
    entry.set("rounds", round);
    entry.set("requests", sent.load(Ordering::Relaxed));
    entry.passed()
}

/// Waits until both companions say the same, and every Envoy has it from one of them.
async fn all_have_everything(companions: &[AdsCompanion; 2]) -> Result<()> {
    wait::until("every Envoy to have everything", DEADLINE, async || {
        let views = [companions[0].envoys().await?, companions[1].envoys().await?];
        let versions = &views[0]["versions"];
        ensure!(*versions == views[1]["versions"], "{:#} {:#}", views[0], views[1]);
        let mut current = 0;
        for view in &views {
            let envoys = view["envoys"].as_array().context("no Envoys")?;
            current += envoys.iter().filter(|envoy| envoy["versions"] == *versions).count();
        }
        ensure!(current == ENVOYS, "{:#} {:#}", views[0], views[1]);
        anyhow::Ok(())
    })
    .await
}
