//! The task of one peer: round, report, wait.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::judge::Judge;
use crate::apiserver::{Client, FetchError, Identity, IdentityError, Validators};
use crate::config::{Config, Peer};
use crate::facts::{Observation, Reading, Report};
use crate::metrics::{Metrics, PollOutcome};
use api_discovery::OpenApiIndex;
use api_discovery::Part;

/// Counts the changes that any task has seen.
pub(super) type Nudge = watch::Sender<u64>;

/// Watches one peer until it is aborted.
pub(super) struct Task {
    pub peer: Peer,
    pub config: Arc<Config>,
    pub reports: mpsc::Sender<Report>,
    pub nudge: Nudge,
    pub metrics: Metrics,
}

/// What a task keeps between rounds.
#[derive(Default)]
struct Session {
    client: Option<(Identity, Client)>,
    validators: Validators,
    open_api: OpenApiTurns,
    judge: Judge,
    /// Whether its version is still to be read: it did not say when asked.
    version_due: bool,
    /// The kind of the last conclusive observation, to see a change.
    last: Option<PollOutcome>,
}

impl Task {
    /// Returns only when nobody listens to its reports any more.
    pub(super) async fn run(self) {
        let mut nudged = self.nudge.subscribe();
        let mut session = Session::default();
        loop {
            let started = Instant::now();
            let observation = self.round(&mut session).await;
            let outcome = PollOutcome::of(&observation);
            self.metrics.polled(&self.peer.name, outcome, started.elapsed());
            let changed = session.changed(&observation, outcome);
            self.count(&observation, session.validators.any());
            let delay = self.delay(outcome);
            let report = Report { peer: self.peer.clone(), asked: started.into_std(), observation };
            if self.reports.send(report).await.is_err() {
                return;
            }
            if changed {
                self.nudge.send_modify(|changes| *changes = changes.wrapping_add(1));
                nudged.mark_unchanged();
            }
            self.pause(&mut nudged, started + delay).await;
        }
    }

    /// `etags`: whether what is listed is news.
    fn count(&self, observation: &Observation, etags: bool) {
        let Observation::Serving { readings, open_api, .. } = observation else { return };
        if let Some(Err(_)) = open_api {
            self.metrics.discovery_failed(&self.peer.name);
        }
        for (_, reading) in readings {
            match reading {
                Reading::Failed(_) => self.metrics.discovery_failed(&self.peer.name),
                Reading::Listed(..) if etags => self.metrics.discovery_changed(&self.peer.name),
                Reading::Listed(..) | Reading::Unchanged => {}
            }
        }
    }

    /// The time from the beginning of this round to that of the next. A peer
    /// that cannot be reached is asked less often, but the delay does not grow
    /// beyond one and a half intervals: what is saved by waiting longer is one
    /// refused connection a second, and what it costs is that a peer that is
    /// back is not used. One that answers may be ready at any moment. The
    /// spread keeps many companions from asking in step.
    fn delay(&self, outcome: PollOutcome) -> Duration {
        let interval = self.config.polling.interval;
        let spread = match outcome {
            PollOutcome::Serving => return interval,
            PollOutcome::NotReady | PollOutcome::Inconclusive => 0.8..1.0,
            PollOutcome::Unreachable => 1.0..1.5,
        };
        interval.mul_f64(rand::rng().random_range(spread))
    }

    /// Waits for the time, or for a nudge; and in any case a fifth of the
    /// interval, so that changes in a row do not become a busy loop.
    async fn pause(&self, nudged: &mut watch::Receiver<u64>, until: Instant) {
        tokio::time::sleep(self.config.polling.interval / 5).await;
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            // The sender is in `self`: there is always a next value.
            _ = nudged.changed() => {}
        }
        nudged.mark_unchanged();
    }

    async fn round(&self, session: &mut Session) -> Observation {
        if let Err(error) = self.refresh_client(session) {
            // With an earlier identity it goes on; with none it cannot begin.
            tracing::warn!(peer = %self.peer.name, %error, "identity cannot be used");
            if session.client.is_none() {
                return Observation::Inconclusive { reason: error.to_string() };
            }
        }
        let Session { client: Some((_, client)), judge, last, .. } = session else {
            return Observation::Inconclusive { reason: "no client".to_owned() };
        };
        let client = client.clone();
        if let Err(error) = readiness(&client).await {
            return judge.failed(&error);
        }
        judge.answered();
        let first = *last != Some(PollOutcome::Serving);
        match session.read_all(&client, first).await {
            Ok(observation) => observation,
            // It went away after it said that it is ready.
            Err(error) => session.judge.failed(&error),
        }
    }

    /// Makes the client anew when the files of the identity changed.
    fn refresh_client(&self, session: &mut Session) -> Result<(), IdentityError> {
        let config = &self.config;
        let identity = Identity::load(&config.peer_tls, &config.credentials)?;
        if session.client.as_ref().is_some_and(|(current, _)| *current == identity) {
            return Ok(());
        }
        let tls = &config.peer_tls;
        let client = Client::new(&self.peer, &tls.server_name, &config.polling, &identity)?;
        session.client = Some((identity, client));
        Ok(())
    }
}

impl Session {
    /// Reads what changed. A part that cannot be read is reported as such; only
    /// a connection that broke, and cannot be made again, is an error.
    async fn read_all(&mut self, client: &Client, first: bool) -> Result<Observation, FetchError> {
        let mut readings = [(Part::Core, Reading::Unchanged), (Part::Named, Reading::Unchanged)];
        let mut news = first;
        for (part, reading) in &mut readings {
            *reading = match client.discovery(*part, &mut self.validators).await {
                Ok(reading) => reading,
                Err(error) => {
                    if matches!(error, FetchError::Transport(_)) {
                        readiness(client).await?;
                    }
                    Reading::Failed(error.to_string())
                }
            };
            news |= matches!(reading, Reading::Listed(..));
        }
        // A new version mostly comes with new types, always with a new start.
        self.version_due |= news;
        let version = if self.version_due { client.version().await.ok() } else { None };
        self.version_due &= version.is_none();
        let open_api = self.read_open_api(client, news).await;
        Ok(Observation::Serving { readings, version, open_api })
    }

    async fn read_open_api(
        &mut self,
        client: &Client,
        news: bool,
    ) -> Option<Result<Box<OpenApiIndex>, String>> {
        if !self.open_api.is_due(news) {
            return None;
        }
        let read = client.open_api().await;
        let size = read.as_ref().ok().and_then(|index| index.as_ref().map(OpenApiIndex::size));
        self.open_api.asked(size);
        let read = read.transpose()?;
        Some(read.map(Box::new).map_err(|error| error.to_string()))
    }

    /// Whether others may have seen a change as well.
    fn changed(&mut self, observation: &Observation, outcome: PollOutcome) -> bool {
        if outcome == PollOutcome::Inconclusive {
            return false;
        }
        let before = self.last.replace(outcome);
        let listed = match observation {
            Observation::Serving { readings, .. } => {
                readings.iter().any(|(_, reading)| matches!(reading, Reading::Listed(..)))
            }
            _ => false,
        };
        // A server of the older form lists everything in every round; that
        // is no news, and its own changes reach the others a round later.
        before.is_some_and(|before| before != outcome) || (listed && self.validators.any())
    }
}

/// Asks twice if the connection fails: the first may have been an old one.
async fn readiness(client: &Client) -> Result<(), FetchError> {
    match client.readiness().await {
        Err(FetchError::Transport(_)) => client.readiness().await,
        other => other,
    }
}

/// In which rounds the index of OpenAPI v3 is read. It has no `ETag`, so each
/// time it is sent whole: seldom if it is large.
#[derive(Debug, Default)]
struct OpenApiTurns {
    /// Rounds until the next.
    wait: usize,
    /// Rounds in which it is read because discovery changed: it follows that
    /// by some moments.
    eager: usize,
}

impl OpenApiTurns {
    /// Rounds in which it is read after a change.
    const EAGER: usize = 3;
    /// What may be read in each round on average, in bytes.
    const BUDGET: usize = 32 << 10;
    /// Rounds that a peer is left alone that did not answer.
    const LEFT_ALONE: usize = 30;

    fn is_due(&mut self, news: bool) -> bool {
        if news {
            self.eager = Self::EAGER;
        }
        if self.eager > 0 {
            self.eager -= 1;
            return true;
        }
        self.wait = self.wait.saturating_sub(1);
        self.wait == 0
    }

    fn asked(&mut self, size: Option<usize>) {
        match size {
            Some(size) => self.wait = size.div_ceil(Self::BUDGET),
            None => *self = Self { wait: Self::LEFT_ALONE, eager: 0 },
        }
    }
}
