//! Clients that work all the time while something happens to the servers, and
//! a journal of all that they saw.
//!
//! ```text
//!   Load::objects ───┐
//!   Load::watcher ───┤
//!   Load::probe ─────┼─▶ Journal ──▶ the test judges, while it goes on or after
//!   Load::newcomers ─┘
//! ```
//!
//! Objects and watchers are clients with ordinary retries (see [`Retrying`]),
//! so what the journal holds of them is what a controller would have seen.
//! Probes and newcomers retry nothing, so that every single answer is in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait;
use wire::client::{Answer, Client, ClientOptions};

mod retrying;
mod workers;

pub use retrying::Retrying;

/// How long watchers get to see the last of what was created.
const LAST_EVENTS: Duration = Duration::from_secs(10);

/// How an operation ended, after all retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Answered {
        /// The status code.
        status: u16,
        /// Whether it is the 404 of a server that does not know the type.
        type_level_404: bool,
        /// Whether it has a `Retry-After`.
        retry_after: bool,
        /// The body, unless it is a success.
        body: String,
    },
    /// Without one: the connection broke.
    Broken(String),
}

/// One operation of one client.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The client's name for it.
    pub label: &'static str,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// When it began.
    pub started: Instant,
    /// When its end was known.
    pub ended: Instant,
    /// How often it was sent.
    pub attempts: u32,
    /// How it ended.
    pub end: End,
}

impl Operation {
    /// Whether it succeeded.
    pub fn is_ok(&self) -> bool {
        matches!(self.end, End::Answered { status: 200..=299, .. })
    }

    /// Whether it is a 404 of a server that does not know the type.
    pub fn is_type_level_404(&self) -> bool {
        matches!(self.end, End::Answered { type_level_404: true, .. })
    }

    /// Whether it is a 503 that names a time to try again, with a `Status`.
    pub fn is_unavailable(&self) -> bool {
        match &self.end {
            End::Answered { status: 503, retry_after: true, body, .. } => {
                serde_json::from_str::<serde_json::Value>(body)
                    .is_ok_and(|body| body.get("kind").is_some_and(|kind| kind == "Status"))
            }
            _ => false,
        }
    }

    /// Whether the connection to the server broke when the request may have
    /// been executed: Envoy answers 503 without a `Retry-After` then, or
    /// breaks an answer that had begun.
    pub fn is_reset(&self) -> bool {
        matches!(self.end, End::Broken(_) | End::Answered { status: 503, retry_after: false, .. })
    }
}

impl End {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self::Answered {
            status: answer.status.as_u16(),
            type_level_404: answer.is_type_level_404(),
            retry_after: answer.header("retry-after").is_some(),
            body: if answer.status.is_success() { String::new() } else { answer.text() },
        }
    }
}

/// All that was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    operations: Vec<Operation>,
    created: BTreeSet<String>,
    watched: BTreeSet<String>,
    watches_ended: usize,
}

impl Journal {
    /// The operations for which `wanted` holds, in the order of their ends.
    pub fn operations(&self, wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
        self.pages().operations.iter().filter(|operation| wanted(operation)).cloned().collect()
    }

    /// How many operations there are for which `wanted` holds.
    pub fn count(&self, wanted: impl Fn(&Operation) -> bool) -> usize {
        self.pages().operations.iter().filter(|operation| wanted(operation)).count()
    }

    /// For how many of the last operations `wanted` holds, counted back from
    /// the end to the first for which it does not hold, or that began before
    /// `since`; and that one.
    pub fn row(
        &self,
        since: Instant,
        wanted: impl Fn(&Operation) -> bool,
    ) -> (usize, Option<Operation>) {
        let pages = self.pages();
        let counts = |operation: &Operation| operation.started >= since && wanted(operation);
        let position = pages.operations.iter().rev().position(|operation| !counts(operation));
        let row = position.unwrap_or(pages.operations.len());
        (row, pages.operations.iter().rev().nth(row).cloned())
    }

    /// The objects that were created, and that no watcher has seen.
    pub fn unseen(&self) -> Vec<String> {
        let pages = self.pages();
        pages.created.difference(&pages.watched).cloned().collect()
    }

    /// How many watches ended that nobody had ended: informers begin them again
    /// and say nothing.
    pub fn watches_ended(&self) -> usize {
        self.pages().watches_ended
    }

    pub(crate) fn note(&self, operation: Operation) {
        self.pages().operations.push(operation);
    }

    fn note_created(&self, name: &str) {
        self.pages().created.insert(name.to_owned());
    }

    fn note_watched(&self, name: &str) {
        self.pages().watched.insert(name.to_owned());
    }

    fn note_watch_ended(&self) {
        self.pages().watches_ended += 1;
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients at work; dropping it stops them at once.
#[derive(Debug, Default)]
pub struct Load {
    journal: Journal,
    workers: Crew,
    watchers: Crew,
}

/// Clients that are stopped together.
#[derive(Debug)]
struct Crew {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Default for Crew {
    fn default() -> Self {
        Self { stop: watch::channel(false).0, tasks: JoinSet::new() }
    }
}

impl Crew {
    /// Lets each finish what it has begun.
    async fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

impl Load {
    /// What they have seen so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// A client that creates, reads, lists, changes and deletes ConfigMaps
    /// with this prefix, one operation each `pace`.
    pub fn objects(&mut self, client: Client, prefix: &'static str, pace: Duration) {
        let worker = worker(&self.journal, &self.workers, client, pace);
        self.workers.tasks.spawn(workers::objects(worker, prefix));
    }

    /// A client that keeps a list and watch of all ConfigMaps going.
    pub fn watcher(&mut self, client: Client) {
        let worker = worker(&self.journal, &self.watchers, client, Duration::ZERO);
        self.watchers.tasks.spawn(workers::watcher(worker));
    }

    /// A client that sends the same GET again and again and retries nothing.
    pub fn probe(&mut self, client: Client, label: &'static str, path: &str, pace: Duration) {
        let worker = worker(&self.journal, &self.workers, client, pace);
        self.workers.tasks.spawn(workers::probe(worker, label, path.to_owned()));
    }

    /// Clients that send this GET, each on a connection of its own, and go; one
    /// each `pace`.
    ///
    /// # Errors
    ///
    /// When no such client can be made.
    pub fn newcomers(
        &mut self,
        options: ClientOptions,
        label: &'static str,
        path: &str,
        pace: Duration,
    ) -> Result<()> {
        let worker = worker(&self.journal, &self.workers, Client::new(&options)?, pace);
        self.workers.tasks.spawn(workers::newcomers(worker, options, label, path.to_owned()));
        Ok(())
    }

    /// Lets every client finish what it has begun, and the watchers see it.
    ///
    /// # Errors
    ///
    /// When a client panicked.
    pub async fn finish(mut self) -> Result<Journal> {
        self.workers.finish().await?;
        if !self.watchers.tasks.is_empty() {
            // Whoever wants to know which were not seen asks the journal.
            let all_seen = async || self.journal.unseen().is_empty();
            wait::until_true("the watchers", LAST_EVENTS, all_seen).await.ok();
        }
        self.watchers.finish().await?;
        Ok(self.journal)
    }
}

fn worker(journal: &Journal, crew: &Crew, client: Client, pace: Duration) -> workers::Worker {
    workers::Worker::new(client, journal.clone(), crew.stop.subscribe(), pace)
}
