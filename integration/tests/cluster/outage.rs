//! The only server that has a type goes away in several ways and comes back; the
//! companion goes away; its files are damaged.
//!
//! Three kinds of clients work all the time: probes of the type that only one
//! server has, which retry nothing; clients of common types, with the retries
//! of client-go; and a watcher. One story follows the other on the same
//! servers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::ServerOptions;
use harness::load::{Journal, Load, Operation};
use harness::promise;
use harness::report::Entry;
use harness::site::Site;
use harness::skew::NEW;
use harness::skew::{NEWER, OLDER, only_in};
use wire::client::Http;

mod probes;
mod published;

use probes::{is_served, last, settled};

/// Until requests for the lost type are answered as the product promises.
const UNAVAILABLE_PROMISE: Duration = Duration::from_secs(2);

/// From `/readyz` of the server that is back until its type is served.
const SERVED_PROMISE: Duration = Duration::from_secs(5);

const PROBE_PACE: Duration = Duration::from_millis(25);
const OBJECT_PACE: Duration = Duration::from_millis(50);

/// How many writes may be under way when a server is killed: no more than there
/// are clients that write, for each of two kills.
const RESETS: usize = 4;

#[tokio::test]
async fn types_of_a_lost_server_are_unavailable_and_all_others_work() -> Result<()> {
    let mut entry = Entry::begin("cluster_outage");
    let mut site = Site::start(vec![
        ServerOptions::new("old", OLDER),
        ServerOptions::new("new", NEWER)
            // Long enough to be seen as not ready while it still serves.
            .argument("--shutdown-delay-duration=6s")
            // Without it a server with watches takes a minute more to stop.
            .argument("--shutdown-watch-termination-grace-period=1s"),
    ])
    .await?;
    let mut load = load(&site)?;
    let journal = load.journal().clone();
    settled(&journal, Instant::now(), "success", is_served).await?;

    killed(&mut site, &journal, &mut entry).await.context("the only server is killed")?;
    not_ready(&mut site, &journal, &mut entry).await.context("it is not ready")?;
    published::companion_dies(&mut site, &mut load).await.context("the companion is killed")?;
    let repairs = published::is_repaired(&mut site).await.context("the map is damaged")?;
    entry.set_ms("mapRepairedMs", repairs);

    settled(&journal, Instant::now(), "success", is_served).await?;
    let journal = load.finish().await?;
    judge(&journal, &mut entry)?;
    entry.passed()
}

fn load(site: &Site) -> Result<Load> {
    let skewed = only_in(NEWER, OLDER)?;
    let mut load = Load::default();
    for http in [Http::Two, Http::One] {
        load.probe(site.client(http)?, "probe", &skewed, PROBE_PACE);
    }
    load.objects(site.client(Http::Two)?, "over-h2", OBJECT_PACE);
    load.objects(site.client(Http::One)?, "over-h1", OBJECT_PACE);
    load.watcher(site.client(Http::Two)?);
    Ok(load)
}

/// `kill -9`, and a start after that.
async fn killed(site: &mut Site, journal: &Journal, entry: &mut Entry) -> Result<()> {
    site.plane.server_mut(NEW)?.kill_9();
    let killed = Instant::now();
    settled(journal, killed, "503", is_unavailable).await?;
    let unavailable = last(journal, killed, |operation| !is_unavailable(operation));
    entry.set_ms("unavailableAfterKillMs", unavailable);
    promise::ensure_kept("the type was unavailable", UNAVAILABLE_PROMISE, unavailable)?;

    let served = back(site, journal).await?;
    entry.set_ms("servedAfterReadyMs", served);
    Ok(())
}

/// SIGTERM: it says that it is not ready for some seconds, then ends.
async fn not_ready(site: &mut Site, journal: &Journal, entry: &mut Entry) -> Result<()> {
    let stopping = Instant::now();
    site.plane.server_mut(NEW)?.stop().await?;
    let stopped = Instant::now();
    settled(journal, stopped, "503", is_unavailable).await?;
    let unavailable = last(journal, stopping, |operation| !is_unavailable(operation));
    entry.set_ms("unavailableAfterNotReadyMs", unavailable);
    promise::ensure_kept("the type was unavailable", UNAVAILABLE_PROMISE, unavailable)?;

    let served = back(site, journal).await?;
    entry.set_ms("servedAfterNotReadyMs", served);
    Ok(())
}

/// Starts the server again; the time from ready to served.
async fn back(site: &mut Site, journal: &Journal) -> Result<Duration> {
    site.plane.server_mut(NEW)?.start_again().await?;
    let ready = Instant::now();
    settled(journal, ready, "success", is_served).await?;
    let served = last(journal, ready, |operation| !is_served(operation));
    promise::ensure_kept("the type was served again", SERVED_PROMISE, served)?;
    Ok(served)
}

/// The answers to all clients, over all stories.
fn judge(journal: &Journal, entry: &mut Entry) -> Result<()> {
    let common = |operation: &Operation| !matches!(operation.label, "probe" | "watch-refused");
    let resets = journal.operations(|operation| common(operation) && operation.is_reset());
    let failed = journal
        .operations(|operation| common(operation) && !operation.is_ok() && !operation.is_reset());
    let wrong = journal.operations(Operation::is_type_level_404);
    let count = |wanted: fn(&Operation) -> bool| journal.count(wanted);
    entry.set("skewedRequests", count(|operation| operation.label == "probe"));
    entry.set("skewedUnavailable", count(|operation| operation.is_unavailable()));
    entry.set("commonRequests", journal.count(common));
    entry.set("commonRetried", count(|operation| operation.attempts > 1));
    entry.set("commonFailed", failed.len());
    entry.set("commonResets", resets.len());
    entry.set("wrong404s", wrong.len());
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(failed.is_empty(), "{failed:#?}");
    // A write that was under way at a server that was killed: it may or
    // may not have been done, and no client repeats it.
    ensure!(resets.iter().all(|operation| operation.method != "GET"), "{resets:#?}");
    ensure!(resets.len() <= RESETS, "{resets:#?}");
    let unseen = journal.unseen();
    ensure!(unseen.is_empty(), "the watcher has not seen {unseen:?}");
    Ok(())
}

fn is_unavailable(operation: &Operation) -> bool {
    operation.is_unavailable()
}
