//! What takes minutes: an upgrade and a rollback of all nodes, nodes that lose a part, and the
//! proxy's way into a running control plane and out again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::load::{Journal, Load, Operation};
use harness::report::Entry;
use harness::skew::{NEWER, OLDER, only_in};
use harness::wait;
use wire::client::Http;

use super::nodes::Nodes;
use super::{ENVOY, UNKNOWN};

mod changes;
mod faults;
mod installing;
mod pods;
mod upgrade;

const OBJECT_PACE: Duration = Duration::from_millis(60);
const PROBE_PACE: Duration = Duration::from_millis(100);

/// Until the map follows a server that is ready.
const PROMISE: Duration = Duration::from_secs(2);

const DEADLINE: Duration = Duration::from_secs(120);

/// What names of objects begin with, by node and client.
const PREFIXES: [[&str; 2]; 4] =
    [["one-a", "one-b"], ["two-a", "two-b"], ["three-a", "three-b"], ["four-a", "four-b"]];

/// From when to when something was allowed to show.
type Span = (Instant, Instant);

/// Clients of each node, by its address: each node has a journal of its own.
struct Clients {
    loads: Vec<Load>,
}

impl Clients {
    /// Starts those of all nodes.
    fn start(nodes: &Nodes) -> Result<Self> {
        let mut clients = Self { loads: Vec::new() };
        for index in 0..nodes.all().len() {
            clients.add(nodes, index)?;
        }
        Ok(clients)
    }

    /// Starts those of one more node.
    fn add(&mut self, nodes: &Nodes, index: usize) -> Result<()> {
        let [first, second] = PREFIXES.get(index).context("names of objects")?;
        let mut load = Load::default();
        load.objects(nodes.client(index, Http::Two)?, first, OBJECT_PACE);
        load.objects(nodes.client(index, Http::One)?, second, OBJECT_PACE);
        load.watcher(nodes.client(index, Http::Two)?);
        load.probe(nodes.client(index, Http::Two)?, "skewed", &only_in(NEWER, OLDER)?, PROBE_PACE);
        load.probe(nodes.client(index, Http::Two)?, "unknown", UNKNOWN, PROBE_PACE);
        self.loads.push(load);
        Ok(())
    }

    /// Waits until the clients of these nodes have done something more.
    async fn work(&self, indexes: impl IntoIterator<Item = usize>) -> Result<()> {
        let since = Instant::now();
        for index in indexes {
            let journal = self.loads.get(index).context("clients of the node")?.journal();
            wait::until("work of all clients", DEADLINE, async || {
                for label in ["create", "get", "list", "patch", "delete", "skewed", "unknown"] {
                    let done = journal.count(|o| o.label == label && o.started > since);
                    ensure!(done >= 4, "{done} of {label}, node {index}");
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Ends all; a journal for each node.
    async fn finish(self) -> Result<Vec<Journal>> {
        let mut journals = Vec::new();
        for load in self.loads {
            journals.push(load.finish().await?);
        }
        Ok(journals)
    }
}

/// How many writes of a node's clients may meet the end of a server's connections: no more than there
/// are connections that carry writes.
const RESETS_A_STOP: usize = 4;

/// What went wrong for the clients of one node.
struct Verdict {
    requests: usize,
    failed: Vec<Operation>,
    /// Those that failed when they may.
    excused: usize,
    /// The longest time without a success then.
    away: Duration,
    resets: Vec<Operation>,
    stops: usize,
    wrong: Vec<Operation>,
}

impl Verdict {
    /// In spans of the first kind, servers stop, so that a write that is under way may break: nobody
    /// may repeat it. In those of the second kind, requests may fail.
    fn of(journal: &Journal, breaking: &[Span], failing: &[Span]) -> Self {
        let failed = |o: &Operation| is_common(o) && !o.is_ok() && !is_during(failing, o);
        let reset = |o: &Operation| o.is_reset() && o.method != "GET" && is_during(breaking, o);
        Self {
            requests: journal.count(is_common),
            failed: journal.operations(|o| failed(o) && !reset(o)),
            excused: journal.count(|o| is_common(o) && !o.is_ok() && is_during(failing, o)),
            away: longest_away(journal, failing),
            resets: journal.operations(|o| failed(o) && reset(o)),
            stops: breaking.len(),
            wrong: journal.operations(|o| is_common(o) && o.is_type_level_404()),
        }
    }

    fn report(&self, node: usize, entry: &mut Entry) {
        entry.set(&format!("node{}CommonRequests", node + 1), self.requests);
        entry.set(&format!("node{}CommonFailed", node + 1), self.failed.len());
        entry.set(&format!("node{}CommonFailedWhileAway", node + 1), self.excused);
        entry.set_ms(&format!("node{}LongestAwayMs", node + 1), self.away);
        entry.set(&format!("node{}WritesReset", node + 1), self.resets.len());
        entry.set(&format!("node{}Wrong404s", node + 1), self.wrong.len());
    }

    fn ensure_good(&self, node: usize) -> Result<()> {
        ensure!(self.wrong.is_empty(), "wrong 404s at node {}: {:#?}", node + 1, self.wrong);
        ensure!(self.failed.is_empty(), "failed at node {}: {:#?}", node + 1, self.failed);
        ensure!(self.resets.len() <= RESETS_A_STOP * self.stops, "{:#?}", self.resets);
        ensure!(self.requests > 0, "no requests at node {}", node + 1);
        Ok(())
    }
}

/// Returns the longest time between two common requests that succeeded, of those that meet a span.
fn longest_away(journal: &Journal, spans: &[Span]) -> Duration {
    let good = journal.operations(|o| is_common(o) && o.is_ok());
    let pairs = good.iter().zip(good.iter().skip(1));
    let around = pairs
        .map(|(before, after)| (before.ended, after.ended))
        .filter(|(from, to)| spans.iter().any(|(begun, ended)| from <= ended && to >= begun));
    around.map(|(from, to)| to - from).max().unwrap_or_default()
}

/// Requests for types that all servers have, after all retries.
fn is_common(operation: &Operation) -> bool {
    !["skewed", "unknown", "watch-refused"].contains(&operation.label)
}

fn is_during(spans: &[Span], o: &Operation) -> bool {
    spans.iter().any(|(from, to)| o.started <= *to && o.ended >= *from)
}

/// Fails if an Envoy has refused a request because it had passed one: then another one had been
/// taken for an API server.
fn ensure_filtered_once(nodes: &Nodes) -> Result<()> {
    for node in nodes.all() {
        let log = node.pods.log(ENVOY)?;
        let refused = log.lines().find(|line| line.contains("\"status\":508"));
        ensure!(refused.is_none(), "{}: {refused:?}", node.machine.name());
    }
    Ok(())
}
