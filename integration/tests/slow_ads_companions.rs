//! Two companions, of which one is killed and started again every five seconds for two minutes. In
//! each of these rounds, a type comes that only some servers know, and another goes: so do their
//! clusters. No Envoy names a cluster that it does not have or goes back behind the last change but
//! one, no request fails, and every Envoy has the latest map soon.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::Crd;
use harness::ads::{self, AdsCompanion, AdsSite};
use harness::companion::Companion;
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::report::Entry;
use harness::wait;
use serde_json::Value;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wire::client::Client;

#[path = "slow_ads_companions/look.rs"]
mod look;
use look::Watch;

const DURATION: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_secs(5);
const ENVOYS: usize = 3;
const DEADLINE: Duration = Duration::from_secs(30);

/// How long everything may take, on a busy machine.
const WHOLE: Duration = Duration::from_secs(300);

/// The servers that know the type of a round. No other type has such a set, so its cluster comes and
/// goes with the type.
const SETS: [&[usize]; 4] = [&[1], &[0, 2], &[2], &[0, 1]];

/// The group of the type that comes in a round.
fn group(round: usize) -> String {
    format!("round{round}.example.com")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn companions_that_come_and_go_break_nothing() -> Result<()> {
    timeout(WHOLE, run()).await.context("it does not end")?
}

async fn run() -> Result<()> {
    let mut entry = Entry::begin("slow_ads_companions");
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36, Version::V1_36]).await?;
    change(&fleet, 0)?;
    let site = AdsSite::new(fleet.stack_options()?)?;
    let mut companions =
        [site.companion("companion-1").await?, site.companion("companion-2").await?];
    for AdsCompanion { companion, .. } in &companions {
        remove_clusters_soon(companion)?;
    }
    let ports = [companions[0].port, companions[1].port];
    let mut envoys = Vec::new();
    for number in 1..=ENVOYS {
        envoys.push(Envoy::start(site.envoy(&format!("envoy-{number}"), ports)?).await?);
    }
    all_have_everything(&companions).await?;
    let envoys = Arc::new(envoys);
    let load = Load::start(&fleet, &envoys).await?;
    let watch = Watch::start(&envoys);

    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < DURATION {
        let started = Instant::now();
        // The type of the last round is everywhere now, and the one before it goes.
        load.ask_for(round).await;
        round += 1;
        watch.begin_round(round);
        let killed = round % 2;
        companions[killed].companion.kill_9();
        change(&fleet, round)?;
        sleep(PERIOD / 2).await;
        companions[killed].companion.start_again().await?;
        companions[killed].companion.wait_ready().await?;
        all_have_everything(&companions).await?;
        sleep(PERIOD.saturating_sub(started.elapsed())).await;
    }
    let (requests, looks) = (load.stop().await?, watch.stop().await?);
    for envoy in envoys.iter() {
        let stat = async |name: &str| anyhow::Ok(envoy.stat(name).await?.unwrap_or_default());
        let missing = stat("http.kubernetes.no_cluster").await?;
        ensure!(missing == 0, "{missing} requests went to a cluster that is not there");
        let refused = stat("cluster_manager.cds.update_rejected").await?;
        ensure!(refused == 0, "{refused} updates were refused");
        for change in ["cluster_manager.cluster_added", "cluster_manager.cluster_removed"] {
            let count = stat(change).await?;
            ensure!(count >= u64::try_from(round)?, "{change}: {count} in {round} rounds");
        }
    }
    ensure!(requests > 1_000, "only {requests} requests were sent");
    ensure!(looks > 500, "the Envoys were looked at {looks} times only");
    println!("{round} rounds, {requests} requests, {looks} looks");
    entry.set("looks", looks);
    entry.set("rounds", round);
    entry.set("requests", requests);
    entry.passed()
}

/// Lets clusters go in the round in which their last type goes.
fn remove_clusters_soon(companion: &Companion) -> Result<()> {
    let config = std::fs::read_to_string(companion.config_file())?;
    let mut config: Value = serde_json::from_str(&config)?;
    config["envoy"]["clusterRemovalDelay"] = "1s".into();
    companion.write_config(&config.to_string())
}

/// Lets the type of this round come, and that of the last but one go.
fn change(fleet: &Fleet, round: usize) -> Result<()> {
    for (number, peer) in fleet.peers.iter().enumerate() {
        let rounds = round.saturating_sub(1)..=round;
        let knows = |round: &usize| SETS[round % SETS.len()].contains(&number);
        let types = rounds.filter(knows).map(|round| Crd::new(&group(round), "Widget"));
        peer.set_crds(types.collect())?;
    }
    Ok(())
}

/// Clients of each Envoy, which ask for a type that only some servers know.
struct Load {
    clients: JoinSet<Result<()>>,
    /// The round of the type.
    asked: Arc<RwLock<usize>>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn start(fleet: &Fleet, envoys: &[Envoy]) -> Result<Self> {
        let (asked, sent, stop) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { clients: JoinSet::new(), asked, sent, stop };
        for envoy in envoys {
            let client = ads::client(fleet, envoy).await?;
            let (asked, sent) = (Arc::clone(&load.asked), Arc::clone(&load.sent));
            load.clients.spawn(keep_asking(client, asked, sent, Arc::clone(&load.stop)));
        }
        Ok(load)
    }

    /// Asks for the type of this round from now on. Nobody asks for that of another any more.
    async fn ask_for(&self, round: usize) {
        *self.asked.write().await = round;
    }

    /// Returns how many requests were answered. Fails if one was not.
    async fn stop(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(self.sent.load(Ordering::Relaxed))
    }
}

async fn keep_asking(
    client: Client,
    asked: Arc<RwLock<usize>>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let round = asked.read().await;
        let path = format!("/apis/{}/v1/widgets", group(*round));
        client.get(&path).await?.ok().with_context(|| format!("{path} in round {round}"))?;
        drop(round);
        sent.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
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
