//! A thousand control planes behind one Envoy and one companion: what each costs, how long it takes
//! for one to come, to change and to go, and that no hostile request crosses.
//!
//! Envoy takes four inotify instances for each, as shipped: `fs.inotify.max_user_instances` must be
//! 8,192, to which `tools/ci-setup` raises it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::ads::AdsCompanion;
use harness::envoy::Envoy;
use harness::measure::{cpu_time, peak_kib, resident_kib};
use harness::report::Entry;
use harness::shared_ingress::{LISTENER, SharedIngress};
use harness::wait;
use serde_json::{Value, json};
use tokio::sync::Mutex;

#[path = "envoy/control_planes/corpus.rs"]
mod corpus;
#[path = "slow_control_planes/many.rs"]
mod many;
#[path = "envoy/control_planes/names.rs"]
mod names;
#[path = "slow_control_planes/real.rs"]
mod real;
#[path = "envoy/control_planes/run.rs"]
mod run;
#[path = "slow_control_planes/selections.rs"]
mod selections;
#[path = "envoy/control_planes/types.rs"]
mod types;

use many::{Recordings, Small};
use real::Real;

/// How many there are, unless `CONTROL_PLANES` says otherwise.
const CONTROL_PLANES: usize = 1_000;

/// How many are asked each second, and changed.
const ACTIVE: usize = 10;

/// How many real ones come to them.
const REAL: usize = 5;

/// The time that the project promises for one that comes or goes, and for a change of one.
const COMES: Duration = Duration::from_secs(3);
const CHANGES: Duration = Duration::from_secs(2);

const DEADLINE: Duration = Duration::from_secs(600);

/// What one test does is not measured by another.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_control_planes_cost_little_and_do_not_notice_each_other() -> Result<()> {
    let _alone = ALONE.lock().await;
    let count = std::env::var("CONTROL_PLANES").ok().and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(CONTROL_PLANES);
    let mut entry = Entry::begin("slow_control_planes");
    entry.set("controlPlanes", count);
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path().join("ingress"))?;
    let recordings = Recordings::read()?;
    let mut planes = Vec::new();
    for number in 0..count {
        let plane = Small::start(&ingress, &recordings, number, number < ACTIVE).await?;
        ingress.add(&plane.config)?;
        planes.push(plane);
    }
    let began = Instant::now();
    let mut companion = ingress.start_companion("companion-1").await?;
    wait::until("every control plane to have a map", DEADLINE, async || {
        companion.companion.get("/readyz").await?.ok()
    })
    .await?;
    entry.set_ms("allReadMs", began.elapsed());
    println!("all were read after {:?}", began.elapsed());
    let mut memory = BTreeMap::new();
    let mut last = None;
    for workers in [1, 4, 2] {
        // One at a time: the machine has no room for more.
        drop(last.take());
        let options = ingress.envoy(&format!("envoy-{workers}"), companion.port)?;
        let began = Instant::now();
        // Ready only when it has everything, which takes longer than others may.
        let envoy = Envoy::spawn(options.concurrency(workers)).await?;
        all_are_served(&envoy, &planes).await?;
        entry.set_ms(&format!("envoyOf{workers}WorkersServesMs"), began.elapsed());
        println!("an Envoy of {workers} workers serves all after {:?}", began.elapsed());
        memory.insert(workers, resident_kib(envoy.pid()?)?);
        last = Some(envoy);
    }
    let envoy = last.context("no Envoy")?;
    note_memory(&mut entry, &memory, count);
    idle(&mut entry, &mut companion, &envoy).await?;
    let scene = Scene { ingress, recordings, planes, envoy };
    scene.one_comes_and_goes(&mut entry).await?;
    scene.one_changes(&mut entry).await?;
    scene.nothing_crosses(&mut entry).await?;
    scene.real_ones_are_among_them(&mut entry).await?;
    entry.set("companionPeakKib", peak_kib(companion_pid(&mut companion)?)?);
    entry.passed()
}

struct Scene {
    envoy: Envoy,
    planes: Vec<Small>,
    ingress: SharedIngress,
    recordings: Recordings,
}

fn companion_pid(companion: &mut AdsCompanion) -> Result<u32> {
    Ok(companion.companion.process().context("no companion")?.pid())
}

/// Waits until every control plane answers with its own map.
async fn all_are_served(envoy: &Envoy, planes: &[Small]) -> Result<()> {
    wait::until("all control planes to be served", DEADLINE, async || {
        let port = envoy.listener_port(LISTENER).await?;
        let served = stream::iter(planes).map(|plane| plane.is_served(port));
        served.buffer_unordered(16).try_collect::<Vec<()>>().await
    })
    .await?;
    Ok(())
}

fn note_memory(entry: &mut Entry, memory: &BTreeMap<u32, u64>, count: usize) {
    let of = |workers: u32| memory.get(&workers).copied().unwrap_or_default();
    let count = count as f64;
    let (one, four) = (of(1) as f64, of(4) as f64);
    let worker = (four - one) / 3.0;
    entry.set("envoyKibByWorkers", json!(memory));
    entry.set("envoyKibPerControlPlaneAndWorker", json!(worker / count));
    entry.set("envoyKibPerControlPlane", json!((one - worker) / count));
    println!("Envoy's memory: {memory:?} KiB");
}

/// Notes what a companion and an Envoy use while nothing changes.
async fn idle(entry: &mut Entry, companion: &mut AdsCompanion, envoy: &Envoy) -> Result<()> {
    const TIME: Duration = Duration::from_secs(20);
    let pids = [companion_pid(companion)?, envoy.pid()?];
    let before = [cpu_time(pids[0])?, cpu_time(pids[1])?];
    tokio::time::sleep(TIME).await;
    for ((name, pid), before) in ["companion", "envoy"].into_iter().zip(pids).zip(before) {
        let cores = (cpu_time(pid)? - before).as_secs_f64() / TIME.as_secs_f64();
        entry.set(&format!("{name}IdleCores"), json!(cores));
        println!("{name}: {cores:.3} cores while nothing changes");
    }
    let kib = resident_kib(pids[0])?;
    entry.set("companionKib", kib);
    println!("companion: {kib} KiB");
    Ok(())
}

impl Scene {
    async fn port(&self) -> Result<u16> {
        self.envoy.listener_port(LISTENER).await
    }

    async fn one_comes_and_goes(&self, entry: &mut Entry) -> Result<()> {
        let (mut came, mut went) = (Duration::ZERO, Duration::ZERO);
        let port = self.port().await?;
        for number in 0..3 {
            let one = Small::start(&self.ingress, &self.recordings, 9_000 + number, true).await?;
            self.ingress.add(&one.config)?;
            let added = Instant::now();
            wait::until("it to be served", DEADLINE, async || one.is_served(port).await).await?;
            came = came.max(added.elapsed());
            self.ingress.remove(one.name())?;
            let removed = Instant::now();
            wait::until_true("it to be gone", DEADLINE, async || {
                matches!(one.client(port), Ok(client) if client.get("/version").await.is_err())
            })
            .await?;
            went = went.max(removed.elapsed());
        }
        entry.set_ms("slowestComesMs", came);
        entry.set_ms("slowestGoesMs", went);
        println!("one comes in {came:?}, goes in {went:?}");
        ensure!(came <= COMES, "it came after {came:?}");
        ensure!(went <= COMES, "it went after {went:?}");
        Ok(())
    }

    /// A change of one reaches Envoy, which has everything else as before.
    async fn one_changes(&self, entry: &mut Entry) -> Result<()> {
        let mut slowest = Duration::ZERO;
        let port = self.port().await?;
        for (number, plane) in self.planes.iter().take(ACTIVE).take(5).enumerate() {
            let before = self.versions().await?;
            let group = format!("later{number}.example.net");
            plane.peers.get(1).context("no peer")?.add_crd(Crd::new(&group, "Widget"))?;
            let changed = Instant::now();
            let path = format!("/apis/{group}/v1/widgets");
            let name = format!("mixed-version-proxy/{}", plane.name());
            // By the map, and not because another server is asked.
            wait::until("the type to be in the map", DEADLINE, async || {
                plane.serves(port, &path).await?;
                ensure!(self.map_has(plane.name(), &group).await?, "not in the map");
                anyhow::Ok(())
            })
            .await?;
            slowest = slowest.max(changed.elapsed());
            let after = self.versions().await?;
            let others = |all: &BTreeMap<String, Value>| {
                all.iter()
                    .filter(|(key, _)| **key != name)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect::<Vec<_>>()
            };
            ensure!(others(&before) == others(&after), "another filter was sent again");
        }
        entry.set_ms("slowestChangeMs", slowest);
        println!("a change is served in {slowest:?}");
        ensure!(slowest <= CHANGES, "{slowest:?}");
        Ok(())
    }

    /// Returns the version and the time of each filter that Envoy has.
    async fn versions(&self) -> Result<BTreeMap<String, Value>> {
        let dump = self.envoy.admin("/config_dump?resource=ecds_filters").await?;
        let dump: Value = serde_json::from_str(&dump)?;
        let filters = dump.get("configs").and_then(Value::as_array).context("no filters")?;
        let entry = |filter: &Value| {
            let name = filter.pointer("/ecds_filter/name")?.as_str()?.to_owned();
            Some((name, json!([filter.get("version_info"), filter.get("last_updated")])))
        };
        let found: BTreeMap<_, _> = filters.iter().filter_map(entry).collect();
        ensure!(found.len() >= self.planes.len(), "{} filters", found.len());
        Ok(found)
    }

    async fn map_has(&self, name: &str, text: &str) -> Result<bool> {
        let regex = format!("mixed-version-proxy/{name}");
        let path = format!("/config_dump?resource=ecds_filters&name_regex={regex}");
        Ok(self.envoy.admin(&path).await?.contains(text))
    }

    async fn real_ones_are_among_them(&self, entry: &mut Entry) -> Result<()> {
        let port = self.port().await?;
        let mut all = Vec::new();
        for number in 1..=REAL {
            let one = Real::start(&self.ingress, &format!("real-{number}")).await?;
            wait::until("it to be served", DEADLINE, async || one.is_served(port).await).await?;
            all.push(one);
        }
        real::are_separate(&all, port).await?;
        entry.set("realControlPlanes", all.len());
        println!("{} real control planes among them", all.len());
        Ok(())
    }

    /// Sends the hostile corpus from each of some control planes about others.
    async fn nothing_crosses(&self, entry: &mut Entry) -> Result<()> {
        let port = self.port().await?;
        let step = (self.planes.len() / 8).max(1);
        let some: Vec<_> = self.planes.iter().step_by(step).collect();
        let (mut sent, mut answered) = (0, 0);
        for (own, other) in some.iter().zip(some.iter().cycle().skip(1)) {
            let cases = corpus::cases(&own.side(), &other.side());
            let got = run::send_all(&cases, &own.raw(port)?).await;
            for (case, got) in cases.iter().zip(&got) {
                let text = String::from_utf8_lossy(&got.bytes).to_lowercase();
                // Over HTTP/1.1 the header with the server's name is among the bytes.
                let server = format!(": {}-", other.name());
                ensure!(!text.contains(&server), "{} was answered by {server}", case.name);
                let is_own = case.name.contains(&types::group(other.name()));
                ensure!(!is_own || got.status != Some(200), "{}: {text}", case.name);
            }
            sent += got.len();
            answered += got.iter().filter(|got| got.status.is_some()).count();
        }
        ensure!(answered > sent / 2, "only {answered} of {sent} were answered");
        entry.set("hostileRequests", sent);
        entry.set("crossings", 0);
        println!("{sent} hostile requests, {answered} answered, none crossed");
        Ok(())
    }
}
