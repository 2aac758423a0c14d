//! A thousand Envoys on one companion, each with five control planes of its own choice: what a stream
//! costs, that a change of a control plane reaches those that have it soon, and that nobody else is
//! sent anything.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use fake_apiserver::replay::Crd;
use futures_util::future::try_join_all;
use harness::ads::AdsCompanion;
use harness::measure::{cpu_time, resident_kib};
use harness::report::Entry;
use harness::shared_ingress::SharedIngress;
use harness::simulated::{Simulated, tls};
use harness::wait;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::task::JoinSet;

use super::many::{Recordings, Small};

/// A prime number, so that no two Envoys get the same.
const CONTROL_PLANES: usize = 53;
const ENVOYS: usize = 1_000;
const CHOSEN: usize = 5;
const CHANGES: usize = 5;

/// The time that the project promises, from a change on a peer to the last acknowledgment.
const PROMISE: Duration = Duration::from_secs(2);
/// The most memory of the companion for a stream.
const MOST_KIB: u64 = 256;
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_envoys_with_control_planes_of_their_own_cost_little() -> Result<()> {
    let _alone = super::ALONE.lock().await;
    let mut entry = Entry::begin("slow_selections");
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path().join("ingress"))?;
    let recordings = Recordings::read()?;
    let mut planes = Vec::new();
    for number in 0..=CONTROL_PLANES {
        planes.push(Small::start(&ingress, &recordings, number, number == 0).await?);
    }
    let last = planes.pop().context("no control plane")?;
    planes.iter().try_for_each(|plane| ingress.add(&plane.config))?;
    let mut companion = ingress.companion("companion-1").await?;
    let pid = companion.companion.process().context("no companion")?.pid();
    let before = resident_kib(pid)?;
    let fleet = Fleet::start(&ingress, companion.port).await?;
    all_have_everything(&companion).await?;
    let all = resident_kib(pid)?;
    let of_stream = all.saturating_sub(before) / ENVOYS as u64;
    entry.set("companionKibPerStream", of_stream);

    // One of them changes.
    let mut slowest = Duration::ZERO;
    for round in 0..CHANGES {
        let pushes = fleet.pushes();
        let peer = planes.first().and_then(|plane| plane.peers.first()).context("no peer")?;
        peer.add_crd(Crd::new(&format!("change{round}.example.com"), "Widget"))?;
        let changed = Instant::now();
        wait::until_true("a push", DEADLINE, async || fleet.pushes() != pushes).await?;
        all_have_everything(&companion).await?;
        slowest = slowest.max(fleet.last_answer()?.saturating_duration_since(changed));
        let sent = fleet.sent_since(&pushes);
        ensure!(sent == fleet.with(0), "{} are sent something", sent.len());
    }
    entry.set_ms("slowestMs", slowest);

    // One more comes, which nobody gets.
    let (pushes, used) = (fleet.pushes(), cpu_time(pid)?);
    ingress.add(&last.config)?;
    is_serving(&companion, last.name()).await?;
    all_have_everything(&companion).await?;
    let used = cpu_time(pid)?.saturating_sub(used);
    entry.set_ms("companionCpuForOneMoreMs", used);
    let sent = fleet.sent_since(&pushes);
    ensure!(sent.is_empty(), "{} are sent something of another", sent.len());
    println!("{of_stream} KiB for each stream; slowest {slowest:?}; one more takes {used:?}");
    ensure!(slowest <= PROMISE, "{slowest:?}");
    ensure!(of_stream <= MOST_KIB, "{of_stream} KiB");
    entry.passed()
}

/// Envoys that accept everything.
struct Fleet {
    /// How many pushes each was sent.
    pushes: Arc<[AtomicUsize]>,
    /// When the last one was acknowledged.
    answered: Arc<Mutex<Instant>>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    async fn start(ingress: &SharedIngress, port: u16) -> Result<Self> {
        let (pki, [_, certificate]) = ingress.ads_certificates();
        let config = tls(pki, &certificate)?;
        let pushes: Arc<[AtomicUsize]> = (0..ENVOYS).map(|_| AtomicUsize::new(0)).collect();
        let answered = Arc::new(Mutex::new(Instant::now()));
        let mut tasks = JoinSet::new();
        for first in (0..ENVOYS).step_by(20) {
            let connected = (first..first + 20).map(|number| connect(port, &config, number));
            for (number, client) in (first..).zip(try_join_all(connected).await?) {
                let shared = (Arc::clone(&pushes), Arc::clone(&answered));
                tasks.spawn(accept_all(client, number, shared));
            }
        }
        Ok(Self { pushes, answered, _tasks: tasks })
    }

    fn pushes(&self) -> Vec<usize> {
        self.pushes.iter().map(|pushes| pushes.load(Ordering::SeqCst)).collect()
    }

    fn last_answer(&self) -> Result<Instant> {
        let answered = self.answered.lock().map_err(|_| anyhow!("a client panicked"))?;
        Ok(*answered)
    }

    /// Returns the Envoys that were sent something since then.
    fn sent_since(&self, before: &[usize]) -> BTreeSet<usize> {
        let now = self.pushes().into_iter().zip(before).enumerate();
        now.filter(|(_, (now, before))| now != *before).map(|(number, _)| number).collect()
    }

    /// Returns the Envoys that get a control plane.
    fn with(&self, plane: usize) -> BTreeSet<usize> {
        (0..self.pushes.len()).filter(|number| chosen(*number).any(|one| one == plane)).collect()
    }
}

/// Returns the control planes of an Envoy.
fn chosen(number: usize) -> impl Iterator<Item = usize> {
    let step = 1 + number / CONTROL_PLANES;
    (0..CHOSEN).map(move |one| (number + one * step) % CONTROL_PLANES)
}

async fn connect(port: u16, config: &Arc<ClientConfig>, number: usize) -> Result<Simulated> {
    let names: Vec<_> = chosen(number).map(|plane| format!("cp-{plane:04}")).collect();
    let name = format!("simulated-{number}");
    Simulated::connect_for(port, Arc::clone(config), &name, &names).await
}

async fn accept_all(
    mut client: Simulated,
    number: usize,
    (pushes, answered): (Arc<[AtomicUsize]>, Arc<Mutex<Instant>>),
) {
    while let Ok(response) = client.response().await {
        if let Some(pushes) = pushes.get(number) {
            pushes.fetch_add(1, Ordering::SeqCst);
        }
        if client.accept(response).await.is_err() {
            return;
        }
        if let Ok(mut answered) = answered.lock() {
            *answered = Instant::now();
        }
        // A thousand copies of the maps are not what is measured.
        client.forget_contents();
    }
}

/// Waits until all Envoys have what they get. They do not ask for authorities.
async fn all_have_everything(companion: &AdsCompanion) -> Result<()> {
    wait::until("all Envoys to have everything", DEADLINE, async || {
        let view = companion.envoys().await?;
        let envoys = view.get("envoys").and_then(Value::as_array).context("no Envoys")?;
        let of = |envoy: &Value, field: &str, kind: &str| envoy.get(field)?.get(kind).cloned();
        let has = |envoy: &&Value| {
            ["clusters", "endpoints", "listeners", "filter"].into_iter().all(|kind| {
                let version = of(envoy, "versions", kind);
                version.is_some() && version == of(envoy, "expectedVersions", kind)
            })
        };
        let ready = envoys.iter().filter(has).count();
        ensure!(ready == ENVOYS, "{ready} of {} have it", envoys.len());
        anyhow::Ok(())
    })
    .await
}

async fn is_serving(companion: &AdsCompanion, name: &str) -> Result<()> {
    wait::until("the control plane to be served", DEADLINE, async || {
        let all = companion.companion.json("/v1/control-planes").await?;
        let all = all.as_array().cloned().context("no list")?;
        let is = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
        let state = all.iter().find(is).and_then(|one| one.get("state").cloned());
        ensure!(state.as_ref().and_then(Value::as_str) == Some("serving"), "{state:?}");
        anyhow::Ok(())
    })
    .await
}
