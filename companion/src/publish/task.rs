//! When the publisher acts: on a new snapshot, on changed settings, and once a second to remove
//! what has expired and to repair what was damaged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::error::PublishError;
use super::metrics::PublishMetrics;
use super::publisher::{Publication, Publisher};
use super::sink::Sink;
use crate::bucket::Bucket;
use crate::index::Snapshot;
use crate::secrets::Settings;

/// The time in which the changes of several peers are collected.
const SETTLE: Duration = Duration::from_millis(50);

/// A single change goes out at once, with the changes of other peers that follow from it. A control
/// plane that changes all the time costs Envoy one new map a second.
const BURST: u32 = 3;
const REFILL: Duration = Duration::from_secs(1);

const CHECK: Duration = Duration::from_secs(1);

/// What the rest of the companion may see of the publisher.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub publication: Option<Publication>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

/// Publishes until no more snapshot can come.
pub async fn run<S: Sink + Send>(
    mut publisher: Publisher<S>,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    mut settings: watch::Receiver<Arc<Settings>>,
    outcomes: watch::Sender<Outcome>,
    metrics: PublishMetrics,
) {
    let mut bucket = Bucket::full(BURST, REFILL);
    let mut check = tokio::time::interval(CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut checked = Instant::now();
    let mut current = settings.borrow_and_update().clone();
    loop {
        let changed = tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() { return; }
                settle(&mut bucket).await;
                true
            }
            changed = settings.changed() => {
                if changed.is_err() { return; }
                // A rotated certificate comes alone, so nothing is waited for.
                if settings.borrow().config != current.config {
                    settle(&mut bucket).await;
                }
                true
            }
            _ = check.tick() => false,
        };
        if changed {
            current = settings.borrow_and_update().clone();
            publisher.configure(&current);
        }
        let passed = checked.elapsed();
        checked = Instant::now();
        let due = changed || outcomes.borrow().error.is_some();
        let snapshot = latest(&mut snapshots, due);
        // A sink works on this thread: one at a time, while the other tasks go on.
        let result = tokio::task::block_in_place(|| {
            publish(&mut publisher, snapshot.as_deref(), due, passed, &metrics)
        });
        report(result, checked.elapsed(), &outcomes, &metrics);
    }
}

/// Returns the last snapshot. One that is not pushed now may have come together with a check: it
/// stays unseen, so that it is pushed next.
fn latest(
    snapshots: &mut watch::Receiver<Option<Arc<Snapshot>>>,
    due: bool,
) -> Option<Arc<Snapshot>> {
    if due { snapshots.borrow_and_update().clone() } else { snapshots.borrow().clone() }
}

/// Waits for other changes that belong to the first one, and for the permission to push.
async fn settle(bucket: &mut Bucket) {
    tokio::time::sleep(SETTLE).await;
    bucket.take().await;
}

fn publish<S: Sink>(
    publisher: &mut Publisher<S>,
    snapshot: Option<&Snapshot>,
    due: bool,
    passed: Duration,
    metrics: &PublishMetrics,
) -> Result<Option<Publication>, PublishError> {
    publisher.write_listener()?;
    let Some(snapshot) = snapshot else {
        publisher.write_first()?;
        return Ok(None);
    };
    let published = if due { publisher.push(snapshot)? } else { None };
    publisher.expire(passed)?;
    let damaged = publisher.damaged();
    if damaged.is_empty() {
        return Ok(published);
    }
    tracing::warn!(?damaged, "published resources were changed by others: publishing again");
    metrics.repairs.inc();
    Ok(publisher.push_again(snapshot)?.or(published))
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
            let document = &publication.map;
            tracing::info!(
                generation = document.generation,
                complete = document.complete,
                sets = document.sets.len(),
                skewed_targets = publication.skewed_targets,
                "published"
            );
            metrics.pushed(true, duration);
            metrics.published(&publication);
            outcomes.send_replace(Outcome { publication: Some(publication), error: None });
        }
        Err(error) => {
            tracing::error!(%error, "could not publish");
            metrics.pushed(false, duration);
            outcomes.send_modify(|outcome| outcome.error = Some(error.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_comes_together_with_a_check_stays_to_be_pushed() {
        let (sender, mut snapshots) = watch::channel(None);
        sender.send_replace(None);
        latest(&mut snapshots, false);
        assert!(snapshots.has_changed().unwrap());
        latest(&mut snapshots, true);
        assert!(!snapshots.has_changed().unwrap());
    }
}
