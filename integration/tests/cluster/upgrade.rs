//! A rolling upgrade and the way back: three servers go to the newest version
//! and back, one at a time, while clients work all the time: clients with the
//! retries of client-go, a watcher, kubectl, and probes of a type that only
//! that version has and of one that no server has.
//!
//! On the way up, the next server stops after the last one is in the map again; on
//! the way back, as soon as the last one says that it is ready, and so before the
//! companion has seen it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use discovery_map::PeerState;
use fake_apiserver::Version;
use harness::control_plane::{ServerOptions, User};
use harness::load::{Journal, Load, Operation};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER, only_in};
use wire::client::Http;

mod kubectl_loop;

use kubectl_loop::{KubectlLoop, is_during};

const SERVERS: usize = 3;

/// How many writes may meet the end of one server's connections: no more than
/// there are connections that carry writes.
const RESETS_A_STOP: usize = 4;

const DEADLINE: Duration = Duration::from_secs(30);
const OBJECT_PACE: Duration = Duration::from_millis(30);
const PROBE_PACE: Duration = Duration::from_millis(50);

const UNKNOWN: &str = "/apis/nothing.example/v1/things";

#[tokio::test]
async fn clients_do_not_notice_a_rolling_upgrade() -> Result<()> {
    let mut entry = Entry::begin("cluster_upgrade");
    let mut site = Site::start_as_shipped((0..SERVERS).map(server).collect()).await?;
    let load = load(&site)?;
    let kubectl = site.plane.kubectl(NEWER, &site.stack.url(), User::Admin)?;
    let kubectl = KubectlLoop::start(kubectl, site.plane.folder())?;
    works(load.journal()).await?;

    let mut history = History::default();
    for server in 0..SERVERS {
        history.restart(&mut site, server, NEWER).await?;
        let ready = Instant::now();
        in_the_map(&site, server).await?;
        history.in_the_map(ready);
    }
    works(load.journal()).await?;
    for server in 0..SERVERS {
        history.restart(&mut site, server, OLDER).await?;
    }
    works(load.journal()).await?;

    let commands = kubectl.finish().await?;
    let journal = load.finish().await?;
    report(&journal, &history, &commands, &mut entry);
    judge(&journal, &history)?;
    kubectl_loop::judge(&commands, &history.stops)?;
    entry.passed()
}

/// Without its argument a server with watches takes a minute to stop.
fn server(number: usize) -> ServerOptions {
    ServerOptions::new(format!("cp-{number}"), OLDER)
        .argument("--shutdown-watch-termination-grace-period=1s")
}

fn load(site: &Site) -> Result<Load> {
    let skewed = only_in(NEWER, OLDER)?;
    let mut load = Load::default();
    load.objects(site.client(Http::Two)?, "over-h2", OBJECT_PACE);
    load.objects(site.client(Http::Two)?, "also-over-h2", OBJECT_PACE);
    load.objects(site.client(Http::One)?, "over-h1", OBJECT_PACE);
    load.watcher(site.client(Http::Two)?);
    load.watcher(site.client(Http::One)?);
    for http in [Http::Two, Http::One] {
        load.probe(site.client(http)?, "skewed", &skewed, PROBE_PACE);
        load.probe(site.client(http)?, "unknown", UNKNOWN, PROBE_PACE);
    }
    Ok(load)
}

/// The times at which servers stopped, were ready again, and were in the map.
#[derive(Debug, Default)]
struct History {
    /// From the signal to the end of each server that was stopped.
    stops: Vec<(Instant, Instant)>,
    /// When each server that was started was ready.
    ready: Vec<Instant>,
    /// When Envoy had the first map in which a server was of the newer version.
    first_in_the_map: Option<Instant>,
    /// The longest time from ready until Envoy had the map.
    slowest: Duration,
}

impl History {
    async fn restart(&mut self, site: &mut Site, server: usize, version: Version) -> Result<()> {
        let server = site.plane.server_mut(server)?;
        let begun = Instant::now();
        server.stop().await?;
        self.stops.push((begun, Instant::now()));
        server.restart_as(version).await?;
        self.ready.push(Instant::now());
        Ok(())
    }

    /// Notes that Envoy has a map with a server that was ready at this time.
    fn in_the_map(&mut self, ready: Instant) {
        self.first_in_the_map.get_or_insert_with(Instant::now);
        self.slowest = self.slowest.max(ready.elapsed());
    }

    /// Returns the time in which some server has the newer type for certain: from the first map
    /// with such a server to the signal to the last.
    fn served(&self) -> Result<(Instant, Instant)> {
        let first = self.first_in_the_map.context("no server was in the map")?;
        let (last, _) = self.stops.last().context("no server was stopped")?;
        Ok((first, *last))
    }

    /// Returns the time in which a 404 for the newer type cannot be true: as above,
    /// and on to the end of the last server that has it.
    fn known(&self) -> Result<(Instant, Instant)> {
        let (from, _) = self.served()?;
        let (_, to) = self.stops.last().context("no server was stopped")?;
        Ok((from, *to))
    }

    fn is_stopping(&self, operation: &Operation) -> bool {
        is_during(&self.stops, operation.started, operation.ended)
    }
}

fn report(
    journal: &Journal,
    history: &History,
    commands: &[kubectl_loop::Command],
    entry: &mut Entry,
) {
    let served = history.served().ok();
    let during = |operation: &Operation, span: Option<(Instant, Instant)>| {
        span.is_some_and(|(from, to)| operation.started >= from && operation.ended <= to)
    };
    entry.set("restarts", history.ready.len());
    let longest = history.stops.iter().map(|(begun, ended)| *ended - *begun).max();
    entry.set_ms("longestStopMs", longest.unwrap_or_default());
    entry.set_ms("slowestInTheMapMs", history.slowest);
    entry.set("commonRequests", journal.count(is_common));
    entry.set("commonRetried", journal.count(|o| is_common(o) && o.attempts > 1));
    entry.set("commonFailed", failed(journal, history).len());
    entry.set("commonResets", resets(journal, history).len());
    entry.set("watches", journal.count(|o| o.label == "watch"));
    entry.set("watchesRefused", journal.count(|o| o.label == "watch-refused"));
    entry.set("relists", journal.count(|o| o.label == "relist"));
    entry.set("skewedRequests", journal.count(is_skewed));
    entry.set("skewedServed", journal.count(|o| is_skewed(o) && o.is_ok()));
    entry.set("skewedUnavailable", journal.count(|o| is_skewed(o) && o.is_unavailable()));
    entry.set(
        "skewedNotServedWhileServable",
        journal.count(|o| is_skewed(o) && !o.is_ok() && during(o, served)),
    );
    entry.set("wrong404s", wrong_404s(journal, history).map_or(0, |wrong| wrong.len()));
    entry.set("unknownRequests", journal.count(is_unknown));
    entry.set("true404s", journal.count(|o| is_unknown(o) && o.is_type_level_404()));
    entry.set("kubectlCommands", commands.len());
    entry.set("kubectlFailed", commands.iter().filter(|command| !command.output.success).count());
}

fn judge(journal: &Journal, history: &History) -> Result<()> {
    let wrong = wrong_404s(journal, history)?;
    ensure!(wrong.is_empty(), "wrong 404s: {wrong:#?}");
    let failed = failed(journal, history);
    ensure!(failed.is_empty(), "failed: {failed:#?}");
    // A write that met the very moment at which a stopping server closes its
    // connection: it may or may not have been done. A read is repeated.
    let resets = resets(journal, history);
    ensure!(resets.iter().all(|o| o.method != "GET"), "{resets:#?}");
    ensure!(resets.len() <= RESETS_A_STOP * history.stops.len(), "{resets:#?}");
    // Envoy may give up on a request for the newer type while its only server
    // ends; a client with ordinary retries does not see that.
    let (from, to) = history.served()?;
    let unserved = journal.operations(|o| {
        is_skewed(o) && !o.is_ok() && !o.is_unavailable() && o.started >= from && o.ended <= to
    });
    ensure!(unserved.is_empty(), "not served: {unserved:#?}");
    let untrue =
        journal.operations(|o| is_unknown(o) && !o.is_type_level_404() && !o.is_unavailable());
    ensure!(untrue.is_empty(), "no 404: {untrue:#?}");
    let unseen = journal.unseen();
    ensure!(unseen.is_empty(), "no watcher has seen {unseen:?}");
    Ok(())
}

/// 404s for what some server certainly has, and type-level 404s for what all
/// have.
fn wrong_404s(journal: &Journal, history: &History) -> Result<Vec<Operation>> {
    let (from, to) = history.known()?;
    Ok(journal.operations(|o| {
        let known = is_common(o) || (is_skewed(o) && o.started >= from && o.ended <= to);
        known && o.is_type_level_404()
    }))
}

/// Returns what failed for a client with ordinary retries, beyond resets of a server
/// that was stopping.
fn failed(journal: &Journal, history: &History) -> Vec<Operation> {
    journal.operations(|o| is_common(o) && !o.is_ok() && !(o.is_reset() && history.is_stopping(o)))
}

fn resets(journal: &Journal, history: &History) -> Vec<Operation> {
    journal.operations(|o| is_common(o) && o.is_reset() && history.is_stopping(o))
}

/// Requests for types that all servers have, after all retries.
fn is_common(operation: &Operation) -> bool {
    !is_skewed(operation) && !is_unknown(operation) && operation.label != "watch-refused"
}

fn is_skewed(operation: &Operation) -> bool {
    operation.label == "skewed"
}

fn is_unknown(operation: &Operation) -> bool {
    operation.label == "unknown"
}

/// Waits until every client has done something more.
async fn works(journal: &Journal) -> Result<()> {
    let since = Instant::now();
    harness::wait::until("work of all clients", DEADLINE, async || {
        for label in ["create", "get", "list", "patch", "delete", "skewed", "unknown"] {
            let done = journal.count(|o| o.label == label && o.started > since);
            ensure!(done >= 4, "{done} of {label}");
        }
        Ok(())
    })
    .await
}

/// Waits until the companion has seen the server as the version that it is.
async fn in_the_map(site: &Site, server: usize) -> Result<()> {
    let name = site.plane.server(server)?.name().to_owned();
    site.stack
        .wait_for_map(&name, |map| {
            let peers = &map.peers;
            peers.iter().any(|peer| peer.name == name && peer.state == PeerState::Serving)
        })
        .await
}
