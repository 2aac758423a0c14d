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

/// What went wrong for the clients of one node, outside of the spans in which it may: those in which
/// a common request may break though it was sent once, and those in which it may fail at all.
struct Verdict {
    requests: usize,
    failed: Vec<Operation>,
    resets: Vec<Operation>,
    wrong: Vec<Operation>,
}

impl Verdict {
    fn of(journal: &Journal, breaking: &[Span], failing: &[Span]) -> Self {
        let excused =
            |o: &Operation| is_during(failing, o) || (o.is_reset() && is_during(breaking, o));
        Self {
            requests: journal.count(is_common),
            failed: journal.operations(|o| is_common(o) && !o.is_ok() && !excused(o)),
            resets: journal.operations(|o| is_common(o) && !o.is_ok() && excused(o)),
            wrong: journal.operations(|o| is_common(o) && o.is_type_level_404()),
        }
    }

    fn report(&self, node: usize, entry: &mut Entry) {
        entry.set(&format!("node{}CommonRequests", node + 1), self.requests);
        entry.set(&format!("node{}CommonFailed", node + 1), self.failed.len());
        entry.set(&format!("node{}CommonFailedAtStops", node + 1), self.resets.len());
        entry.set(&format!("node{}Wrong404s", node + 1), self.wrong.len());
    }

    fn ensure_good(&self, node: usize) -> Result<()> {
        ensure!(self.wrong.is_empty(), "wrong 404s at node {}: {:#?}", node + 1, self.wrong);
        ensure!(self.failed.is_empty(), "failed at node {}: {:#?}", node + 1, self.failed);
        ensure!(self.requests > 0, "no requests at node {}", node + 1);
        Ok(())
    }
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
