//! Follows one companion after the other, and keeps what they say.
//!
//! ```text
//!  companion ──responses──▶ received ──if complete──▶ kept ──▶ SetFile
//!                                                       └────▶ Snapshots ──▶ Envoy
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use envoy_types::pb::envoy::service::discovery::v3::Resource;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::check::{Checker, Incomplete};
use super::connection::Connection;
use super::file::{Saved, SetFile};
use super::metrics::MirrorMetrics;
use super::set::Set;
use super::status::Status;
use crate::ads::{self, Confirmed, Following, Kind, Snapshots};
use crate::config::MirrorConfig;

/// The time between two attempts, at least and at most. All companions are asked in each.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(250)..=Duration::from_secs(2);

/// After this time, a companion that says nothing confirms what is kept. One that has just started
/// may have nothing to say yet: it ends the stream earlier if it gets no map (`ads/access.rs`).
const SETTLED: Duration = Duration::from_secs(10);

/// How often it is noted that a companion still says the same.
const CONFIRM: Duration = Duration::from_secs(60);

/// The time in which a set must be complete.
const COMPLETE: Duration = Duration::from_secs(10);

/// Follows companions.
pub struct Follower {
    config: Arc<MirrorConfig>,
    file: SetFile,
    snapshots: Snapshots,
    /// Everything that was acknowledged, complete or not.
    received: Set,
    checker: Checker,
    kept: Option<Set>,
    /// Whether the file has what is kept.
    saved: bool,
    status: watch::Sender<Status>,
    following: watch::Sender<Following>,
    /// Whether the companion that is followed had the time to say something else.
    settled: bool,
    metrics: MirrorMetrics,
    progress: Progress,
}

/// Whether what was received is complete.
enum Progress {
    Complete,
    /// It is not, because of this. The log says so at the deadline.
    Incomplete {
        deadline: Instant,
        problem: Incomplete,
    },
    /// It is not, and the log said so.
    Warned,
}

impl Follower {
    /// Starts with the set on disk.
    pub fn new(
        config: Arc<MirrorConfig>,
        snapshots: Snapshots,
        status: watch::Sender<Status>,
        following: watch::Sender<Following>,
        metrics: MirrorMetrics,
    ) -> Self {
        let file = SetFile::new(&config.state_directory);
        let (received, kept, progress) = (Set::default(), None, Progress::Complete);
        let mut follower = Self {
            config,
            file,
            snapshots,
            received,
            checker: Checker::default(),
            kept,
            saved: true,
            status,
            following,
            settled: false,
            metrics,
            progress,
        };
        follower.load();
        follower
    }

    fn load(&mut self) {
        let Some((saved, checker)) = self.file.load().find_map(checked) else {
            tracing::warn!("there are no saved resources: Envoy waits until a companion answers");
            return;
        };
        let Saved { set, confirmed, is_latest } = saved;
        self.saved = is_latest;
        let age = confirmed.elapsed().unwrap_or_default().as_secs();
        tracing::info!(age_seconds = age, resources = set.len(), "loaded the saved resources");
        self.status.send_modify(|status| status.confirmed = Some(confirmed));
        self.metrics.confirmed(confirmed);
        (self.received, self.checker) = (set.clone(), checker);
        self.show(set);
    }

    /// Follows until the process ends.
    pub async fn run(mut self) {
        let mut pause = *PAUSES.start();
        loop {
            for address in self.config.companions.addresses.clone() {
                if self.follow(&address).await {
                    pause = *PAUSES.start();
                }
            }
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(*PAUSES.end());
        }
    }

    /// Follows one companion until the stream ends. Returns whether there was one.
    async fn follow(&mut self, address: &str) -> bool {
        let config = Arc::clone(&self.config);
        let mut connection = match Connection::open(&config, address, &self.received).await {
            Ok(connection) => connection,
            Err(error) => {
                self.failed(address, &error.to_string());
                return false;
            }
        };
        tracing::info!(companion = address, "following a companion");
        self.connected(Some(address));
        let error = self.hear(&mut connection).await;
        if self.settled {
            self.confirm();
        }
        self.settled = false;
        self.attest();
        self.connected(None);
        self.failed(address, &error);
        true
    }

    /// Takes what the companion sends, until it ends the stream.
    async fn hear(&mut self, connection: &mut Connection) -> String {
        let mut minutes = interval_at(Instant::now() + SETTLED, CONFIRM);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = match self.progress {
                Progress::Incomplete { deadline, .. } => Some(deadline),
                Progress::Complete | Progress::Warned => None,
            };
            tokio::select! {
                response = connection.response() => {
                    let response = match response {
                        Ok(response) => response,
                        Err(error) => return error,
                    };
                    let Some(kind) = Kind::of_url(&response.type_url) else { continue };
                    // It reads the resources and waits for the disk.
                    tokio::task::block_in_place(|| {
                        self.take(kind, response.resources, &response.removed_resources);
                    });
                    self.attest();
                    connection.acknowledge(kind, response.nonce).await;
                }
                _ = minutes.tick() => {
                    self.settled = true;
                    tokio::task::block_in_place(|| self.confirm());
                    self.attest();
                }
                () = until(deadline) => self.warn(),
            }
        }
    }

    /// Takes what the companion sends.
    fn take(&mut self, kind: Kind, upserts: Vec<Resource>, removed: &[String]) {
        self.checker.take(kind, &upserts, removed);
        self.received.apply(kind, upserts, removed);
        self.keep();
    }

    /// Keeps what was received, if it is complete.
    fn keep(&mut self) {
        match self.checker.check() {
            Ok(()) => {
                self.progress = Progress::Complete;
                if self.is_kept() || self.replace() {
                    self.confirmed();
                }
            }
            Err(problem) => self.note(problem),
        }
    }

    /// Returns whether the companion says what is kept.
    fn is_kept(&self) -> bool {
        self.kept.as_ref() == Some(&self.received)
    }

    /// Keeps what was received. Returns whether it can be served.
    fn replace(&mut self) -> bool {
        let shown = self.show(self.received.clone());
        self.saved &= !shown;
        shown
    }

    /// Writes the file. What fails is repeated when a companion next says what is kept.
    fn save(&mut self) {
        let Some(kept) = &self.kept else { return };
        let saved = self.file.save(kept);
        self.metrics.saved(saved.is_ok());
        self.saved = saved.is_ok();
        if let Err(error) = saved {
            tracing::error!(%error, "cannot save the resources: the last saved ones stay");
        }
    }

    /// Serves a set from now on. Returns whether it can be read.
    fn show(&mut self, set: Set) -> bool {
        let Some(snapshot) = ads::snapshot(set.all()) else {
            tracing::error!("cannot read a listener: the last resources stay");
            return false;
        };
        self.snapshots.replace(snapshot);
        self.status.send_modify(|status| status.resources = set.len());
        self.metrics.resources(set.len());
        self.kept = Some(set);
        true
    }

    fn note(&mut self, latest: Incomplete) {
        tracing::debug!(problem = %latest, "the resources are not complete yet");
        match &mut self.progress {
            Progress::Complete => {
                let deadline = Instant::now() + COMPLETE;
                self.progress = Progress::Incomplete { deadline, problem: latest };
            }
            Progress::Incomplete { problem, .. } => *problem = latest,
            Progress::Warned => {}
        }
    }

    fn warn(&mut self) {
        let progress = std::mem::replace(&mut self.progress, Progress::Warned);
        if let Progress::Incomplete { problem, .. } = progress {
            tracing::warn!(%problem, "what the companion sends is not complete: the last complete resources stay");
        }
    }

    /// Notes that a companion says what is kept, if it does.
    fn confirm(&mut self) {
        if self.is_kept() {
            self.confirmed();
        }
    }

    fn confirmed(&mut self) {
        let now = SystemTime::now();
        if self.saved {
            self.file.confirm();
        } else {
            self.save();
        }
        self.status.send_modify(|status| status.confirmed = Some(now));
        self.metrics.confirmed(now);
    }

    fn connected(&self, companion: Option<&str>) {
        self.status.send_modify(|status| {
            status.companion = companion.map(str::to_owned);
            status.since = SystemTime::now();
        });
        self.metrics.connected(companion.is_some());
        self.following.send_modify(|following| following.companion = companion.is_some());
    }

    /// Tells the streams whether a companion says what is kept.
    fn attest(&self) {
        let says = self.settled && self.is_kept();
        self.following.send_if_modified(|following| {
            let next = match following.confirmed {
                _ if says => Confirmed::Now,
                Confirmed::Now => Confirmed::Until(Instant::now()),
                earlier => earlier,
            };
            std::mem::replace(&mut following.confirmed, next) != next
        });
    }

    /// Tells each problem of a companion once in a row.
    fn failed(&self, address: &str, problem: &str) {
        self.metrics.failed();
        self.status.send_modify(|status| {
            let last = status.problems.insert(address.to_owned(), problem.to_owned());
            if last.as_deref() != Some(problem) {
                tracing::warn!(companion = address, problem, "cannot follow a companion");
            }
        });
    }
}

/// Returns saved resources with what is known of them, if they are complete. The log says what is
/// missing.
fn checked(saved: Saved) -> Option<(Saved, Checker)> {
    let checker = Checker::of(&saved.set);
    if let Err(problem) = checker.check() {
        tracing::error!(%problem, "the saved resources are not complete");
        return None;
    }
    Some((saved, checker))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
