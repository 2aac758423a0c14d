//! A thousand Envoys and three real ones on one companion, and types of 5,000: a change is
//! acknowledged by all within two seconds, and the companion stays small. Clients that do not read,
//! and one that refuses everything, hold nobody up.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::Crd;
use futures_util::future::try_join_all;
use harness::ads::{self, AdsCompanion, AdsSite};
use harness::fleet::Fleet;
use harness::measure::{cpu_time, peak_kib};
use harness::report::Entry;
use harness::simulated::{FILTER, Simulated, tls};
use harness::wait;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SIMULATED: usize = 1_000;
const REAL: usize = 3;
const TYPES: usize = 5_000;
/// Clients that never read, and that refuse everything.
const SILENT: usize = 20;
const CHANGES: usize = 5;

/// The time that the project promises, from a change on a peer to the last acknowledgment.
const PROMISE: Duration = Duration::from_secs(2);
const MOST_KIB: u64 = 256 << 10;
const DEADLINE: Duration = Duration::from_secs(120);

/// How long everything may take, on a busy machine.
const WHOLE: Duration = Duration::from_secs(360);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_thousand_envoys_within_two_seconds() -> Result<()> {
    timeout(WHOLE, run()).await.context("it does not end")?
}

async fn run() -> Result<()> {
    let mut entry = Entry::begin("slow_ads_fleet");
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    for number in 0..TYPES {
        let group = format!("group{}.example.com", number / 10);
        let crd = Crd::new(&group, &format!("Widget{number}"));
        for peer in &fleet.peers {
            peer.add_crd(crd.clone())?;
        }
    }
    let site = AdsSite::new(fleet.stack_options()?)?;
    let mut companion = site.companion("companion-1").await?;
    let mut real = Vec::new();
    for number in 1..=REAL {
        real.push(ads::start(&site, &format!("envoy-{number}"), &companion).await?);
    }
    let config = tls(site.pki(), &site.envoy_certificate())?;
    let _bad = bad_clients(companion.port, &config).await?;
    let versions = Versions::default();
    let _good = good_clients(companion.port, &config, &versions).await?;
    wait_for_all(&companion).await?;

    let pid = companion.companion.process().context("no companion")?.pid();
    let (began, used) = (Instant::now(), cpu_time(pid)?);
    let mut slowest = Duration::ZERO;
    for round in 0..CHANGES {
        let before = current(&versions);
        let crd = Crd::new(&format!("change{round}.example.com"), "Widget");
        fleet.peers[0].add_crd(crd.clone())?;
        let changed = Instant::now();
        wait::until_true("all to have another map", DEADLINE, async || {
            current(&versions).is_some_and(|now| Some(now) != before)
        })
        .await?;
        wait_for_all(&companion).await?;
        slowest = slowest.max(changed.elapsed());
    }
    are_there_still(&companion).await?;
    let cores = (cpu_time(pid)? - used).as_secs_f64() / began.elapsed().as_secs_f64();
    let most = peak_kib(pid)?;
    entry.set_ms("slowestMs", slowest);
    entry.set("companionPeakKib", most);
    entry.set("companionCores", json!(cores));
    println!("slowest {slowest:?}, {most} KiB at most, {cores:.2} cores");
    ensure!(slowest <= PROMISE, "{slowest:?}");
    ensure!(most <= MOST_KIB, "{most} KiB");
    ensure!(cores <= 1.0, "{cores:.2} cores");
    entry.passed()
}

/// The map that each good client has.
type Versions = Arc<Mutex<BTreeMap<usize, String>>>;

/// Returns the map that all good clients have. `None` if they have different ones.
fn current(versions: &Versions) -> Option<String> {
    let versions = versions.lock().ok()?;
    let first = versions.values().next()?;
    let same = versions.len() == SIMULATED && versions.values().all(|version| version == first);
    same.then(|| first.clone())
}

/// Starts clients that accept everything.
async fn good_clients(
    port: u16,
    config: &Arc<ClientConfig>,
    versions: &Versions,
) -> Result<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    for first in (0..SIMULATED).step_by(50) {
        let connect = (first..first + 50).map(|number| async move {
            Simulated::connect(port, Arc::clone(config), &format!("simulated-{number}")).await
        });
        for (number, mut client) in (first..).zip(try_join_all(connect).await?) {
            let versions = Arc::clone(versions);
            tasks.push(tokio::spawn(async move {
                while let Ok(response) = client.response().await {
                    let filter = response.resources.first();
                    if let Some(filter) = filter.filter(|_| response.type_url == FILTER)
                        && let Ok(mut versions) = versions.lock()
                    {
                        versions.insert(number, filter.version.clone());
                    }
                    if client.accept(response).await.is_err() {
                        return;
                    }
                    // A thousand copies of the map are not what is measured.
                    client.forget_contents();
                }
            }));
        }
    }
    Ok(tasks)
}

async fn bad_clients(port: u16, config: &Arc<ClientConfig>) -> Result<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    for number in 0..SILENT {
        let name = format!("silent-{number}");
        let config_of_silent = Arc::clone(config);
        let mut silent = Simulated::connect(port, Arc::clone(config), &name).await?;
        tasks.push(tokio::spawn(async move {
            // The companion hangs up on who does not answer for 30 s.
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                let next = Simulated::connect(port, Arc::clone(&config_of_silent), &name).await;
                let Ok(next) = next else { return };
                drop(std::mem::replace(&mut silent, next));
            }
        }));
        let name = format!("refusing-{number}");
        let mut refusing = Simulated::connect(port, Arc::clone(config), &name).await?;
        tasks.push(tokio::spawn(async move {
            while let Ok(response) = refusing.response().await {
                if refusing.refuse(response, "never").await.is_err() {
                    return;
                }
            }
        }));
    }
    Ok(tasks)
}

/// Fails if the bad clients were not there all the time.
async fn are_there_still(companion: &AdsCompanion) -> Result<()> {
    let view = companion.envoys().await?;
    let envoys = view["envoys"].as_array().context("no Envoys")?;
    let of = |prefix: &str| {
        let is_of = |node: &Value| node.as_str().is_some_and(|node| node.starts_with(prefix));
        envoys.iter().filter(|envoy| is_of(&envoy["node"])).collect::<Vec<_>>()
    };
    let (silent, refusing) = (of("silent-"), of("refusing-"));
    ensure!(silent.len() >= SILENT, "{} clients that do not read", silent.len());
    ensure!(refusing.len() == SILENT, "{} clients that refuse", refusing.len());
    ensure!(refusing.iter().all(|envoy| !envoy["lastRefusal"].is_null()), "{refusing:?}");
    Ok(())
}

/// Waits until all good clients and the real Envoys have everything.
async fn wait_for_all(companion: &AdsCompanion) -> Result<()> {
    wait::until("all Envoys to have everything", DEADLINE, async || {
        let view = companion.envoys().await?;
        let envoys = view["envoys"].as_array().context("no Envoys")?;
        let current = envoys.iter().filter(|envoy| envoy["versions"] == view["versions"]).count();
        ensure!(current == SIMULATED + REAL, "{current} of {} have it", envoys.len());
        anyhow::Ok(())
    })
    .await
}
