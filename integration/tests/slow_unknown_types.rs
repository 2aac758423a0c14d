//! The cost of checking a type-level 404 before it passes: a client waits a
//! little longer, and a storm of them does not cost the API servers more.
//!
//! ```text
//!   client ─┬▶ Envoy, strict 404     ─┬▶ server × 3
//!           └▶ Envoy, without it     ─┘
//! ```
//!
//! Every such request reaches one server, which has to authenticate and
//! authorize it before it answers 404. Strict 404 adds the companion's queries to
//! all of them. The test compares the servers' CPU time between the same storms
//! through either Envoy, in turns.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::{ServerOptions, User};
use harness::measure::{cpu_time, median, median_ms};
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::stack::Stack;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use wire::client::{Client, Http};

const SERVERS: [(&str, Version); 3] =
    [("a", Version::V1_35), ("b", Version::V1_36), ("c", Version::V1_36)];

/// Pairs of one request straight to a server and one through Envoy.
const PAIRS: usize = 201;

/// By how much the median may be later through Envoy.
const LATER_MS: f64 = 10.0;

/// Of each second of a storm.
const REQUESTS: u32 = 1_000;
const CLIENTS: u32 = 20;

const STORM: Duration = Duration::from_secs(4);
const ROUNDS: usize = 15;

/// How much more CPU time the servers may take.
const MORE: f64 = 0.05;

#[tokio::test]
async fn true_404s_are_fast_and_a_storm_of_them_adds_no_load_on_servers() -> Result<()> {
    let mut entry = Entry::begin("slow_unknown_types");
    let servers = SERVERS.map(|(name, version)| ServerOptions::new(name, version));
    let mut site = Site::start(servers.into()).await?;
    let mut options = stack_options(&site.plane, "unasked")?;
    options.companion = json!({ "strictNotFound": { "enabled": false } });
    let unasked = Stack::start_with_map(options).await?;

    let later = later(&site, &mut entry).await?;
    ensure!(later <= LATER_MS, "{later} ms later");

    let (strict_url, unasked_url) = (site.stack.url(), unasked.url());
    let idle = servers_cpu(&mut site, nothing).await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let strict = clients(&site, &strict_url)?;
        let strict = servers_cpu(&mut site, async || storm(&strict).await).await?;
        let without = clients(&site, &unasked_url)?;
        let without = servers_cpu(&mut site, async || storm(&without).await).await?;
        rounds.push((strict, without));
    }
    let more = median(rounds.iter().map(|(strict, without)| strict / without - 1.0));
    let questions = site.stack.envoy.metric("mixed_version_proxy_absence_questions_total", &[]);
    entry.set("stormRequestsPerSecond", REQUESTS);
    entry.set("questions", questions.await?);
    entry.set("serversCoresIdle", idle);
    entry.set("serversCoresStrict", median(rounds.iter().map(|round| round.0)));
    entry.set("serversCoresWithoutQuestions", median(rounds.iter().map(|round| round.1)));
    entry.set("serversCpuMorePercent", more * 100.0);
    ensure!(more <= MORE, "{:.1}% more: {rounds:?}", more * 100.0);
    entry.passed()
}

/// Returns a new path each time, so that no answer is cached.
fn unknown(number: usize) -> String {
    format!("/apis/unknown{number}.example/v1/namespaces/default/things/one")
}

/// By how many milliseconds the median is later through Envoy.
async fn later(site: &Site, entry: &mut Entry) -> Result<f64> {
    let envoy = site.client(Http::Two)?;
    let direct = (0..SERVERS.len()).map(|server| site.direct(server, Http::Two));
    let direct = direct.collect::<Result<Vec<_>>>()?;
    let (mut straight, mut through) = (Vec::new(), Vec::new());
    for (number, server) in (0..PAIRS).zip(direct.iter().cycle()) {
        straight.push(denied(server, number).await?);
        through.push(denied(&envoy, number).await?);
    }
    let (straight, through) = (median_ms(&straight), median_ms(&through));
    entry.set("directMs", straight);
    entry.set("throughEnvoyMs", through);
    Ok(through - straight)
}

async fn denied(client: &Client, number: usize) -> Result<Duration> {
    let begun = Instant::now();
    let answer = client.get(&unknown(number)).await?;
    let took = begun.elapsed();
    ensure!(answer.is_type_level_404(), "{}: {}", answer.status, answer.text());
    Ok(took)
}

fn clients(site: &Site, url: &str) -> Result<Vec<Client>> {
    (0..CLIENTS).map(|_| site.plane.client(url, User::Admin, Http::Two)).collect()
}

async fn nothing() -> Result<()> {
    tokio::time::sleep(STORM).await;
    Ok(())
}

/// Requests at an even pace; each must get a true 404. A client that
/// falls behind catches up, so all storms have the same number of requests.
async fn storm(clients: &[Client]) -> Result<()> {
    let pace = Duration::from_secs(1) * CLIENTS / REQUESTS;
    let each = usize::try_from(STORM.as_millis() / pace.as_millis())?;
    let mut workers = JoinSet::new();
    for client in clients {
        let client = client.clone();
        workers.spawn(async move {
            let mut ticks = tokio::time::interval(pace);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut requests = JoinSet::new();
            for number in 0..each {
                ticks.tick().await;
                let client = client.clone();
                requests.spawn(async move { denied(&client, number).await });
            }
            while let Some(request) = requests.join_next().await {
                request??;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

/// How many cores the servers kept busy while `act` went on.
async fn servers_cpu(site: &mut Site, act: impl AsyncFn() -> Result<()>) -> Result<f64> {
    let before = cpu(site)?;
    let begun = Instant::now();
    act().await?;
    let used = cpu(site)?.saturating_sub(before);
    Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64())
}

fn cpu(site: &mut Site) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for server in 0..SERVERS.len() {
        if let Some(process) = site.plane.server_mut(server)?.process() {
            sum += cpu_time(process.pid())?;
        }
    }
    Ok(sum)
}
