//! Clients that keep sending requests while something happens to the servers,
//! and a journal of what they saw.
//!
//! ```text
//!   Load::objects ───┐
//!   Load::watcher ───┤
//!   Load::probe ─────┼─▶ Journal ──▶ the test judges, while it goes on or after
//!   Load::newcomers ─┘
//! ```
//!
//! Objects and watchers are clients with ordinary retries (see [`Retrying`]),
//! so the journal holds what a controller would have seen of them. Probes and
//! newcomers retry nothing, so the journal holds every single answer.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::client::{Client, ClientOptions};

use crate::wait;

mod journal;
mod retrying;
mod workers;

pub use journal::{End, Journal, Operation};
pub use retrying::Retrying;

/// The time that watchers get to see the last created objects. One that has to list first may be
/// told to try again later, more than once.
const LAST_EVENTS: Duration = Duration::from_secs(60);

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
    /// Lets each finish its operation.
    async fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

impl Load {
    /// Returns what they have seen so far.
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

    /// Clients that send this GET once, each on its own connection; one each
    /// `pace`. Fails if no such client can be made.
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

    /// Lets every client finish its operation, and the watchers see the
    /// results. Fails if a client panicked.
    pub async fn finish(mut self) -> Result<Journal> {
        self.workers.finish().await?;
        if !self.watchers.tasks.is_empty() {
            // The journal knows which were not seen.
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
