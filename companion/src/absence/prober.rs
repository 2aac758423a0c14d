//! Asks all serving peers at once what they serve now, for those who must not
//! rely on what was read a moment ago.
//!
//! One round at a time, and at most ten a second, however many ask. A round
//! answers the queries that came before it began, and no others. Most peers
//! answer 304, without a body. What is new goes to the index as well.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{Belief, Change, Part};
use discovery_map::Absence;
use humantime::format_duration;
use reqwest::header::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::metrics::AbsenceMetrics;
use super::query::{AbsenceQuery, Wanted};
use crate::apiserver::{ApiServerClient, Clients, Limits, Validators};
use crate::config::{Config, PeerName};
use crate::facts::{Observation, Reading, Report, View};

/// How many rounds may begin within this time: ten in any second. Short bursts are allowed, so a
/// few queries in a row rarely wait, and never longer than the filter's timeout.
const ROUNDS: (usize, Duration) = (5, Duration::from_millis(500));

/// The time limit of a round if no timeout of the filter is configured.
const DEFAULT_LIMIT: Duration = Duration::from_millis(400);

/// Asks the peers when there are absence queries.
pub struct Prober {
    configs: watch::Receiver<Arc<Config>>,
    /// The configuration of the last round, or a later one.
    config: Arc<Config>,
    views: watch::Receiver<Vec<View>>,
    queries: mpsc::Receiver<AbsenceQuery>,
    reports: mpsc::Sender<Report>,
    metrics: AbsenceMetrics,
    clients: Option<Clients>,
    /// Peers that did not answer in the last round. That is logged once.
    silent: HashSet<PeerName>,
}

impl Prober {
    /// Returns a prober that answers `queries`. `views` is what the index knows
    /// of the peers; what is new is sent to `reports`.
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        views: watch::Receiver<Vec<View>>,
        queries: mpsc::Receiver<AbsenceQuery>,
        reports: mpsc::Sender<Report>,
        metrics: AbsenceMetrics,
    ) -> Self {
        let config = configs.borrow().clone();
        let (clients, silent) = (None, HashSet::new());
        Self { configs, config, views, queries, reports, metrics, clients, silent }
    }

    /// Runs until no query can come any more.
    pub async fn run(mut self) {
        let (most, within) = ROUNDS;
        let mut begun = VecDeque::with_capacity(most);
        while let Some(first) = self.next_query().await {
            if begun.len() == most
                && let Some(earliest) = begun.pop_front()
            {
                tokio::time::sleep_until(earliest + within).await;
            }
            begun.push_back(Instant::now());
            let mut queries = vec![first];
            while let Ok(query) = self.queries.try_recv() {
                queries.push(query);
            }
            // Those who gave up meanwhile cost nothing.
            queries.retain(|query| !query.answer.is_closed());
            if queries.is_empty() {
                continue;
            }
            let is_needed = |part: &Part| queries.iter().any(|query| query.wanted.part() == *part);
            let beliefs = self.ask_all(Part::ALL.into_iter().filter(is_needed).collect()).await;
            for AbsenceQuery { wanted, answer } in queries {
                let absence = absence(&wanted, &beliefs);
                self.metrics.answered(absence);
                // Whoever asked may be gone.
                let _ = answer.send(absence);
            }
        }
    }

    /// Waits for a query, and meanwhile follows the configuration.
    async fn next_query(&mut self) -> Option<AbsenceQuery> {
        loop {
            tokio::select! {
                query = self.queries.recv() => return query,
                Ok(()) = self.configs.changed() => self.follow_configuration(),
            }
        }
    }

    /// Forgets the peers that left the configuration.
    fn follow_configuration(&mut self) {
        let config = self.configs.borrow_and_update().clone();
        for peer in self.config.peers.iter().filter(|peer| !config.peers.contains(peer)) {
            self.metrics.forget_peer(&peer.name);
            self.silent.remove(&peer.name);
        }
        self.config = config;
    }

    /// Asks every serving peer. Returns what is believed of each from then on; `None` for a peer
    /// that did not answer.
    async fn ask_all(&mut self, parts: Vec<Part>) -> Vec<Option<Belief>> {
        self.metrics.rounds.inc();
        self.follow_configuration();
        let views = self.views.borrow().clone();
        let mut clients = Clients::refresh(&mut self.clients, &self.config, "all");
        let mut round = JoinSet::new();
        let limit = time_limit(&self.config);
        let limits = Limits { timeout: limit, ..Limits::from(&self.config.polling) };
        // A peer that has just left is not asked, and might serve the type.
        let mut beliefs: Vec<_> =
            views.iter().filter(|view| view.just_left).map(|_| None).collect();
        for view in views.into_iter().filter(|view| view.serving) {
            let client = match &mut clients {
                Ok(clients) => clients.get(&view.peer, limits),
                Err(error) => Err(error.clone()),
            };
            let parts = parts.clone();
            let reports = self.reports.clone();
            round.spawn(async move {
                let peer = view.peer.name.clone();
                let answer = async {
                    let client = client.map_err(|error| error.to_string())?;
                    ask(client, view, &parts, &reports).await
                };
                let answer = tokio::time::timeout(limit, answer);
                let late = |_| Err(format!("no answer within {}", format_duration(limit)));
                (peer, answer.await.unwrap_or_else(late))
            });
        }
        while let Some(result) = round.join_next().await {
            beliefs.push(result.ok().and_then(|(peer, result)| self.note(peer, result)));
        }
        beliefs
    }

    /// Counts and logs that a peer did not answer.
    fn note(&mut self, peer: PeerName, result: Result<Belief, String>) -> Option<Belief> {
        let answered = result.inspect_err(|error| {
            self.metrics.failed(&peer);
            if self.silent.insert(peer.clone()) {
                tracing::warn!(%peer, error, "peer cannot be asked whether it serves a type");
            }
        });
        let belief = answered.ok()?;
        self.silent.remove(&peer);
        Some(belief)
    }
}

/// Returns the answer to a query after a round.
fn absence(wanted: &Wanted, beliefs: &[Option<Belief>]) -> Absence {
    if beliefs.iter().flatten().any(|belief| wanted.is_in(belief)) {
        Absence::Served
    } else if beliefs.is_empty() || beliefs.contains(&None) {
        Absence::Unclear
    } else {
        Absence::Absent
    }
}

/// Asks one peer what it serves now.
async fn ask(
    client: ApiServerClient,
    view: View,
    parts: &[Part],
    reports: &mpsc::Sender<Report>,
) -> Result<Belief, String> {
    let View { peer, mut belief, .. } = view;
    let asked = Instant::now().into_std();
    let mut readings = Part::ALL.map(|part| (part, Reading::Unchanged));
    let mut types_changed = false;
    for (part, reading) in readings.iter_mut().filter(|(part, _)| parts.contains(part)) {
        let etag = belief.listing(*part).and_then(|listing| listing.etag.as_deref());
        let quoted = etag.and_then(|etag| HeaderValue::from_str(&format!("\"{etag}\"")).ok());
        let mut validators = Validators::of(*part, quoted);
        *reading = client.discovery(*part, &mut validators).await.map_err(|e| e.to_string())?;
        if let Reading::Read(listing) = reading {
            types_changed |= belief.update(*part, listing.clone()) == Change::Types;
        }
    }
    if types_changed {
        let observation = Observation::Discovered { readings };
        // The index is gone only when the companion ends.
        let _ = reports.send(Report { peer, asked, observation }).await;
    }
    Ok(belief)
}

/// Returns the time limit of a round. Whoever asks may wait for the end of a round that began
/// before, and then for one that counts; and the filter waits no longer than configured.
fn time_limit(config: &Config) -> Duration {
    let limit = config.strict_not_found.as_ref().map_or(DEFAULT_LIMIT, |strict| {
        Duration::from_millis(strict.timeout_milliseconds.into()) * 2 / 5
    });
    limit.min(config.polling.timeout)
}
