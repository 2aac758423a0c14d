//! The task: reads the history, and writes what is due, within a budget.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::error::WriteError;
use super::metrics::{KubernetesEventsMetrics, Outcome};
use super::notice::notice;
use super::stories::{Stories, Write};
use super::writer::Writer;
use crate::apiserver::Clients;
use crate::bucket::Bucket;
use crate::clock::since_1970;
use crate::config::{Config, EventsTarget};
use crate::facts::{PeerStatus, Roster};
use crate::history::Record;

/// How many writes there are at once, and how often there is one more: ten in a minute.
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(6);

/// How often it is looked whether something is due while there are stories.
const TICK: Duration = Duration::from_secs(1);

/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// What is followed: the configuration, how the peers are, and which there are.
type Followed =
    (watch::Receiver<Arc<Config>>, watch::Receiver<Vec<PeerStatus>>, watch::Receiver<Arc<Roster>>);

/// Writes Kubernetes Events, if the configuration says so.
pub struct Task {
    configs: watch::Receiver<Arc<Config>>,
    history: watch::Receiver<Record>,
    writer: Writer,
    metrics: KubernetesEventsMetrics,
    stories: Stories,
    budget: Bucket,
    /// The last change that was looked at.
    seen: u64,
    /// The problem of the last attempt; logged once.
    problem: Option<String>,
}

impl Task {
    /// Returns the task of a control plane. What its history has already is not told: it was, or it
    /// is of the past.
    pub fn new(
        (configs, peers, rosters): Followed,
        history: watch::Receiver<Record>,
        metrics: KubernetesEventsMetrics,
    ) -> Self {
        let seen = history.borrow().last();
        let writer = Writer { peers, rosters, clients: Clients::default() };
        let budget = Bucket::full(BURST, REFILL);
        let stories = Stories::default();
        Self { configs, history, writer, metrics, stories, budget, seen, problem: None }
    }

    /// Runs until nobody sends configurations or changes.
    pub async fn run(mut self) {
        let mut pause = TICK;
        loop {
            tokio::select! {
                changed = self.history.changed() => if changed.is_err() { return },
                changed = self.configs.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause), if !self.stories.is_empty() => {}
            }
            let config = self.configs.borrow_and_update().clone();
            let Some(target) = &config.events else {
                // Nobody wants to know later what happened meanwhile.
                self.seen = self.history.borrow_and_update().last();
                self.stories = Stories::default();
                continue;
            };
            self.read(target);
            pause = if self.write(&config, target).await { TICK } else { RETRY };
        }
    }

    /// Makes stories of the changes since the last time.
    fn read(&mut self, target: &EventsTarget) {
        let record = self.history.borrow_and_update().clone();
        let about = target.service.as_str();
        let mut lost = 0;
        for entry in record.after(self.seen) {
            // The history is bounded: it may have lost some. Whether they would have been told is
            // not known.
            let Some(notice) = notice(entry) else { continue };
            let has_room = self.stories.happened(about, notice, entry.at_unix_seconds);
            lost += u64::from(!has_room);
        }
        self.seen = record.last();
        self.metrics.count(Outcome::Dropped, lost);
    }

    /// Writes what is due. Returns whether all went well.
    async fn write(&mut self, config: &Arc<Config>, target: &EventsTarget) -> bool {
        let lost = self.stories.forget(since_1970().as_secs());
        self.metrics.count(Outcome::Dropped, lost);
        while let Some(write) = self.stories.due(since_1970().as_secs()) {
            self.budget.take().await;
            let result = self.writer.write(config, target, &write).await;
            if !self.ended(&write, result) {
                return false;
            }
        }
        true
    }

    /// Takes note of how a write ended. Returns whether the next one may follow at once.
    fn ended(&mut self, write: &Write, result: Result<Outcome, WriteError>) -> bool {
        let (name, count) = match write {
            Write::Create(name, _) => (name, 1),
            Write::Count(name, story) => (name, story.count),
        };
        let error = match result {
            Ok(outcome) => {
                self.stories.written(name, count, since_1970().as_secs());
                self.metrics.count(outcome, 1);
                self.log(None);
                return true;
            }
            Err(error) => error,
        };
        let is_final = error.is_final();
        self.metrics.count(if is_final { Outcome::Refused } else { Outcome::Failed }, 1);
        if is_final {
            self.stories.give_up(name);
        }
        self.log(Some(error.to_string()));
        is_final
    }

    /// Logs that Events cannot be written, and that they can be again.
    fn log(&mut self, problem: Option<String>) {
        if problem == self.problem {
            return;
        }
        match &problem {
            Some(error) => tracing::warn!(error, "cannot write Kubernetes Events"),
            None => tracing::info!("Kubernetes Events can be written again"),
        }
        self.problem = problem;
    }
}
