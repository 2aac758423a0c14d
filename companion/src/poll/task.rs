//! The task of one peer: read, report, wait.

use std::sync::Arc;
use std::time::Duration;

use api_discovery::{OpenApiIndex, Part, ServerVersion};
use discovery_map::PeerState;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::judge::Judge;
use super::metrics::PollMetrics;
use super::nudge::Nudge;
use super::open_api::OpenApiSchedule;
use super::storage::StorageSchedule;
use crate::apiserver::{ApiServerClient, Clients, FetchError, Limits, Validators};
use crate::config::{Config, Peer, PeerName};
use crate::facts::{Observation, Reading, Report};

/// Polls one peer until it is aborted.
pub(super) struct Task {
    pub peer: Peer,
    pub config: Arc<Config>,
    pub reports: mpsc::Sender<Report>,
    pub metrics: PollMetrics,
}

/// How long a new peer that never served is asked five times as often: it mostly starts, and others
/// leave as soon as it is ready.
const EAGER: Duration = Duration::from_secs(120);

/// What a task keeps between rounds.
#[derive(Default)]
struct Session {
    /// Until when the peer is asked more often; none if not.
    eager_until: Option<Instant>,
    clients: Clients,
    /// Those of the listings that were reported.
    validators: Validators,
    open_api: OpenApiSchedule,
    storage: StorageSchedule,
    judge: Judge,
    /// Whether the version must be read.
    version_due: bool,
    /// Whether the last read of the version failed. That is logged once.
    version_failed: bool,
    /// The state that was observed last, to see a change.
    last: Option<PeerState>,
}

impl Task {
    /// Runs until no receiver of the reports is left.
    pub(super) async fn run(self, mut nudge: Nudge) {
        let eager_until = Some(Instant::now() + EAGER);
        let mut session = Session { eager_until, ..Session::default() };
        loop {
            nudge.follow();
            let started = Instant::now();
            let observation = self.round(&mut session).await;
            let state = observation.state();
            self.metrics.polled(&self.peer.name, state, started.elapsed());
            let changed = session.changed(&observation);
            self.count(&observation, session.validators.any());
            let delay = self.delay(state, &mut session);
            if !self.report(observation).await {
                return;
            }
            if changed {
                nudge.send();
            }
            if !self.pause_or_read(&mut session, &mut nudge, started + delay).await {
                return;
            }
        }
    }

    /// Pauses, and reads storage versions meanwhile. Returns whether anybody receives them.
    async fn pause_or_read(
        &self,
        session: &mut Session,
        nudge: &mut Nudge,
        until: Instant,
    ) -> bool {
        let mut pause = std::pin::pin!(self.pause(nudge, until));
        let found = tokio::select! {
            () = &mut pause => return true,
            found = self.storage_versions(session) => found,
        };
        let received = match found {
            Some(observation) => self.report(observation).await,
            None => true,
        };
        pause.await;
        received
    }

    /// Sends a report. Returns whether anybody receives it.
    async fn report(&self, observation: Observation) -> bool {
        let report = Report { peer: self.peer.clone(), observation };
        self.reports.send(report).await.is_ok()
    }

    /// Reads storage versions that are due, while the peer is ready.
    async fn storage_versions(&self, session: &mut Session) -> Option<Observation> {
        if session.last != Some(PeerState::Serving) {
            return None;
        }
        let limits = Limits::from(&self.config.polling);
        let client = session.clients.current()?.get(&self.peer, limits).ok()?;
        let read = session.storage.read(&self.peer.name, &client).await;
        (!read.is_empty()).then_some(Observation::StorageVersions(read))
    }

    /// Counts what the round found. `etags`: the peer sends `ETag`s, so that a
    /// listing means a change.
    fn count(&self, observation: &Observation, etags: bool) {
        let Observation::Serving { readings, open_api, .. } = observation else { return };
        if let Reading::Failed(_) = open_api {
            self.metrics.discovery_failed(&self.peer.name);
        }
        for (_, reading) in readings {
            match reading {
                Reading::Failed(_) => self.metrics.discovery_failed(&self.peer.name),
                Reading::Read(_) if etags => self.metrics.discovery_changed(&self.peer.name),
                Reading::Read(_) | Reading::Unchanged => {}
            }
        }
    }

    /// Returns the time from the start of this round to the start of the next. A peer that cannot
    /// be reached is asked less often, but never more than one and a half intervals later: a longer
    /// delay would only save a refused connection each second, and leave a peer unused that is
    /// back. A peer that answers may be ready at any moment. The spread keeps many companions from
    /// asking in step.
    fn delay(&self, state: Option<PeerState>, session: &mut Session) -> Duration {
        let interval = self.config.polling.interval;
        session.eager_until = session
            .eager_until
            .filter(|until| state != Some(PeerState::Serving) && Instant::now() < *until);
        if session.eager_until.is_some() {
            return interval / 5;
        }
        let spread = match state {
            Some(PeerState::Serving) => return interval,
            Some(PeerState::NotReady) | None => 0.8..1.0,
            Some(PeerState::Unreachable) => 1.0..1.5,
        };
        interval.mul_f64(rand::rng().random_range(spread))
    }

    /// Waits until the given time or a nudge, but at least a fifth of the
    /// interval, so that frequent changes do not become a busy loop.
    async fn pause(&self, nudge: &mut Nudge, until: Instant) {
        tokio::time::sleep(self.config.polling.interval / 5).await;
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = nudge.received() => {}
        }
    }

    async fn round(&self, session: &mut Session) -> Observation {
        let limits = Limits::from(&self.config.polling);
        let clients = session.clients.refresh(&self.config, &self.peer.name);
        let client = match clients.and_then(|clients| clients.get(&self.peer, limits)) {
            Ok(client) => client,
            Err(error) => return Observation::Inconclusive { reason: error.to_string() },
        };
        if let Err(error) = readiness(&client).await {
            return session.judge.failed(&error);
        }
        session.judge.answered();
        let first = session.last != Some(PeerState::Serving);
        match session.read_all(&self.peer.name, &client, first).await {
            Ok(observation) => observation,
            // The peer went away after it was ready.
            Err(error) => session.judge.failed(&error),
        }
    }
}

impl Session {
    /// Reads what changed. A part that cannot be read is reported as such.
    ///
    /// # Errors
    /// The connection broke and cannot be made again. What was read before that is dropped, and
    /// read again in the next round.
    async fn read_all(
        &mut self,
        peer: &PeerName,
        client: &ApiServerClient,
        first: bool,
    ) -> Result<Observation, FetchError> {
        let mut readings = Part::ALL.map(|part| (part, Reading::Unchanged));
        let mut validators = self.validators.clone();
        // What a peer lists is in memory until the end of the round.
        let bounded = client.within(client.budget());
        let mut news = first;
        if first {
            self.storage.start_again();
        }
        for (part, reading) in &mut readings {
            *reading = match bounded.discovery(*part, &mut validators).await {
                Ok(reading) => reading,
                Err(error) => {
                    if matches!(error, FetchError::Transport(_)) {
                        readiness(client).await?;
                    }
                    Reading::Failed(error.to_string())
                }
            };
            if let Reading::Read(listing) = reading {
                self.storage.list(*part, listing);
                news = true;
            }
        }
        // A new version starts anew, and mostly has other types.
        self.version_due |= news;
        let version = if self.version_due { self.read_version(peer, client).await } else { None };
        let open_api = self.read_open_api(&bounded, news).await;
        // Only together with the listings: whoever has a validator gets no listing again.
        self.validators = validators;
        Ok(Observation::Serving { readings, version, open_api })
    }

    async fn read_version(
        &mut self,
        peer: &PeerName,
        client: &ApiServerClient,
    ) -> Option<ServerVersion> {
        let version = client.version().await;
        self.version_due = version.is_err();
        let failed_before = std::mem::replace(&mut self.version_failed, self.version_due);
        version
            .inspect_err(|error| {
                if !failed_before {
                    tracing::warn!(%peer, %error, "cannot read the version of the peer");
                }
            })
            .ok()
    }

    async fn read_open_api(
        &mut self,
        client: &ApiServerClient,
        news: bool,
    ) -> Reading<OpenApiIndex> {
        if !self.open_api.is_due(news) {
            return Reading::Unchanged;
        }
        let reading = client.open_api().await;
        let reading = reading.unwrap_or_else(|error| Reading::Failed(error.to_string()));
        self.open_api.asked(match &reading {
            Reading::Read(index) => Some(index.size()),
            Reading::Unchanged | Reading::Failed(_) => None,
        });
        reading
    }

    /// Returns whether the other peers may have changed as well.
    fn changed(&mut self, observation: &Observation) -> bool {
        let Some(state) = observation.state() else { return false };
        let before = self.last.replace(state);
        let listed = match observation {
            Observation::Serving { readings, .. } => {
                readings.iter().any(|(_, reading)| matches!(reading, Reading::Read(_)))
            }
            _ => false,
        };
        // A server of the older form lists everything in every round, so a listing does not mean a
        // change. What did change reaches the others a round later.
        before.is_some_and(|before| before != state) || (listed && self.validators.any())
    }
}

/// Asks for readiness, twice if the connection fails: the peer may have closed it
/// between two rounds.
async fn readiness(client: &ApiServerClient) -> Result<(), FetchError> {
    match client.readiness().await {
        Err(FetchError::Transport(_)) => client.readiness().await,
        other => other,
    }
}
