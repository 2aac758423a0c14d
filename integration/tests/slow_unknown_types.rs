//! What a doubtful 404 costs: a client waits a little longer, and a storm of
//! requests for types that nobody serves costs the API servers a bounded multiple
//! of what it costs them through an Envoy without the filter.
//!
//! ```text
//!   client ─┬▶ Envoy                 ─┬▶ server × 3
//!           └▶ Envoy without a filter ─┘
//! ```
//!
//! Without the filter such a request reaches one server; with it, each of them.
//! Both are measured in turns, in one run.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::{ServerOptions, User};
use harness::measure::{cpu_time, median};
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::skew::{NEWER, OLDER};
use harness::stack::Stack;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use wire::client::{Client, Http};

const SERVERS: [(&str, Version); 3] = [("a", OLDER), ("b", NEWER), ("c", NEWER)];

/// How long one client, and then many, send one request after the other.
const SPELL: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;
const CLIENTS: usize = 100;

/// The least number of requests a second of one client.
const RATE: f64 = 200.0;

/// By how many milliseconds the 99th percentile may be later.
const LATER_MS: f64 = 10.0;

/// How many times the CPU time the servers may take.
const TIMES: f64 = 3.0;

/// What came of the requests of a spell.
#[derive(Debug, Default)]
struct Spell {
    /// How long each took that got a true 404.
    denied: Vec<Duration>,
    /// How many got 503, because the budget was spent.
    refused: usize,
    took: Duration,
    /// The cores that the servers kept busy.
    cores: f64,
}

impl Spell {
    fn rate(&self) -> f64 {
        self.denied.len() as f64 / self.took.as_secs_f64()
    }

    fn p99_ms(&self) -> f64 {
        let mut sorted = self.denied.clone();
        sorted.sort_unstable();
        let at = sorted.len() * 99 / 100;
        sorted.get(at).map_or(f64::INFINITY, |took| took.as_secs_f64() * 1e3)
    }
}

#[tokio::test]
async fn unknown_types_are_denied_fast_and_a_storm_of_them_is_bounded() -> Result<()> {
    let mut entry = Entry::begin("slow_unknown_types");
    let servers = SERVERS.map(|(name, version)| ServerOptions::new(name, version));
    let mut site = Site::start(servers.into()).await?;
    let mut options = stack_options(&site.plane, "plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let (with, without) = (site.stack.url(), plain.url());

    let (mut alone, mut storms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push((spell(&mut site, &with, 1).await?, spell(&mut site, &without, 1).await?));
        let storm = spell(&mut site, &with, CLIENTS).await?;
        storms.push((storm, spell(&mut site, &without, CLIENTS).await?));
    }
    let of = |rounds: &[(Spell, Spell)], figure: fn(&Spell) -> f64| {
        (
            median(rounds.iter().map(|of| figure(&of.0))),
            median(rounds.iter().map(|of| figure(&of.1))),
        )
    };
    let (rate, plain_rate) = of(&alone, Spell::rate);
    let (p99, plain_p99) = of(&alone, Spell::p99_ms);
    let (cores, plain_cores) = of(&storms, |spell| spell.cores);
    let (stormed, _) = of(&storms, Spell::rate);
    let refused: usize = storms.iter().map(|(storm, _)| storm.refused).sum();
    for (name, figure) in [
        ("requestsPerSecond", rate),
        ("plainRequestsPerSecond", plain_rate),
        ("p99Ms", p99),
        ("plainP99Ms", plain_p99),
        ("stormDeniedPerSecond", stormed),
        ("stormServersCores", cores),
        ("stormPlainServersCores", plain_cores),
    ] {
        entry.set(name, figure);
    }
    entry.set("stormRefused", refused);
    ensure!(alone.iter().all(|(spell, _)| spell.refused == 0), "{alone:?}");
    ensure!(rate >= RATE, "{rate:.0} requests a second");
    ensure!(p99 <= plain_p99 + LATER_MS, "p99 {p99:.1} ms, plain {plain_p99:.1} ms");
    ensure!(cores <= plain_cores * TIMES, "{cores:.2} cores, plain {plain_cores:.2}");
    with_a_dead_server(&mut site, (&with, &without), &mut entry).await?;
    entry.passed()
}

/// Kills the last server and measures a storm. An unknown type may be that server's own,
/// so clients get 503 for a while; that must not multiply the load of the others.
async fn with_a_dead_server(
    site: &mut Site,
    (with, without): (&str, &str),
    entry: &mut Entry,
) -> Result<()> {
    site.plane.server_mut(SERVERS.len() - 1)?.kill_9();
    let storm = spell(site, with, CLIENTS).await?;
    let plain = spell(site, without, CLIENTS).await?;
    entry.set("deadServerCores", storm.cores);
    entry.set("deadServerPlainCores", plain.cores);
    entry.set("deadServerRefused", storm.refused);
    ensure!(storm.refused > 0, "no client got 503 while a server was dead");
    let (cores, plain) = (storm.cores, plain.cores);
    ensure!(cores <= plain * TIMES, "with a dead server {cores:.2} cores, plain {plain:.2}");
    Ok(())
}

/// Has clients send one request after the other, each for another unknown type.
async fn spell(site: &mut Site, url: &str, clients: usize) -> Result<Spell> {
    let mut workers = JoinSet::new();
    let before = cpu(site)?;
    let begun = Instant::now();
    for number in 0..clients {
        let client = site.plane.client(url, User::Admin, Http::Two)?;
        workers.spawn(worker(client, number, begun));
    }
    let mut all = Spell::default();
    while let Some(one) = workers.join_next().await {
        let one = one??;
        all.denied.extend(one.denied);
        all.refused += one.refused;
    }
    all.took = begun.elapsed();
    all.cores = cpu(site)?.saturating_sub(before).as_secs_f64() / all.took.as_secs_f64();
    Ok(all)
}

async fn worker(client: Client, worker: usize, begun: Instant) -> Result<Spell> {
    let mut spell = Spell::default();
    for number in 0.. {
        if begun.elapsed() >= SPELL {
            break;
        }
        let path = format!("/apis/unknown{worker}-{number}.example/v1/namespaces/default/things/x");
        let sent = Instant::now();
        let answer = client.get(&path).await?;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
            spell.refused += 1;
        } else {
            ensure!(answer.is_type_level_404(), "{}: {}", answer.status, answer.text());
            spell.denied.push(sent.elapsed());
        }
    }
    Ok(spell)
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
