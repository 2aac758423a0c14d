//! When the publisher acts: on a new snapshot, on other secrets, and once a
//! second to see that everything is still as it was left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::bucket::Bucket;
use super::error::PublishError;
use super::metrics::{PublishMetrics, PushOutcome};
use super::publisher::{Publication, Publisher};
use super::sink::Sink;
use crate::index::Snapshot;
use crate::secrets::Settings;

/// The time in which the changes of several peers come together.
const SETTLE: Duration = Duration::from_millis(50);

const CHECK: Duration = Duration::from_secs(1);

/// What the rest of the companion may see of the publisher.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was published last.
    pub publication: Option<Publication>,
    /// What went wrong in the last attempt.
    pub error: Option<String>,
}

/// Why the publisher acts.
enum Cause {
    /// There is something else to say; changes that belong to it may follow.
    Change,
    /// A certificate was rotated. Nothing else belongs to that.
    Rotation,
    /// Time passed.
    Check,
}

/// Publishes until no snapshot can come any more.
pub async fn run<S: Sink + Send>(
    mut publisher: Publisher<S>,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    mut settings: watch::Receiver<Arc<Settings>>,
    outcomes: watch::Sender<Outcome>,
    metrics: PublishMetrics,
) {
    let mut bucket = Bucket::full();
    let mut check = tokio::time::interval(CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut checked = Instant::now();
    let mut current = settings.borrow_and_update().clone();
    loop {
        let cause = tokio::select! {
            changed = snapshots.changed() => match changed {
                Ok(()) => Cause::Change,
                Err(_) => return,
            },
            changed = settings.changed() => match changed {
                Ok(()) if settings.borrow().config == current.config => Cause::Rotation,
                Ok(()) => Cause::Change,
                Err(_) => return,
            },
            _ = check.tick() => Cause::Check,
        };
        if matches!(cause, Cause::Change) {
            tokio::time::sleep(SETTLE).await;
            bucket.take().await;
        }
        let pending = !matches!(cause, Cause::Check);
        if pending {
            current = settings.borrow_and_update().clone();
            publisher.configure(&current);
        }
        let passed = checked.elapsed();
        checked = Instant::now();
        let snapshot = snapshots.borrow_and_update().clone();
        // The files are written on this thread: there is one write at a time,
        // and the others go on in the meantime.
        let result = tokio::task::block_in_place(|| {
            let attempt = Attempt { publisher: &mut publisher, metrics: &metrics };
            attempt.run(snapshot.as_deref(), pending, passed, outcomes.borrow().error.is_some())
        });
        report(result, checked.elapsed(), &outcomes, &metrics);
    }
}

struct Attempt<'a, S> {
    publisher: &'a mut Publisher<S>,
    metrics: &'a PublishMetrics,
}

impl<S: Sink> Attempt<'_, S> {
    fn run(
        self,
        snapshot: Option<&Snapshot>,
        pending: bool,
        passed: Duration,
        retry: bool,
    ) -> Result<Option<Publication>, PublishError> {
        self.publisher.write_listener()?;
        let Some(snapshot) = snapshot else { return Ok(None) };
        let mut published = None;
        if pending || retry {
            published = self.publisher.push(snapshot)?;
        }
        self.publisher.expire(passed)?;
        let damaged = self.publisher.damaged();
        if !damaged.is_empty() {
            tracing::warn!(files = ?damaged, "files were changed by someone else: writing them anew");
            self.metrics.repaired();
            published = self.publisher.push_again(snapshot)?.or(published);
        }
        Ok(published)
    }
}

fn report(
    result: Result<Option<Publication>, PublishError>,
    duration: Duration,
    outcomes: &watch::Sender<Outcome>,
    metrics: &PublishMetrics,
) {
    match result {
        Ok(None) => {
            outcomes.send_if_modified(|outcome| outcome.error.take().is_some());
        }
        Ok(Some(publication)) => {
            let document = &publication.document;
            tracing::info!(
                generation = document.generation,
                complete = document.complete,
                sets = document.sets.len(),
                skewed_targets = publication.skewed_targets,
                "published"
            );
            metrics.pushed(PushOutcome::Published, duration);
            metrics.published(document, publication.skewed_targets, publication.at);
            outcomes.send_replace(Outcome { publication: Some(publication), error: None });
        }
        Err(error) => {
            tracing::error!(%error, "could not publish");
            metrics.pushed(PushOutcome::Failed, duration);
            outcomes.send_modify(|outcome| outcome.error = Some(error.to_string()));
        }
    }
}
