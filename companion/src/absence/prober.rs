//! Asks all serving peers at once what they serve now, for those who must not
//! believe what was read a moment ago.
//!
//! One round at a time, and at most ten a second, however many ask: a round
//! answers everybody who asked before it began, and nobody else. Most peers
//! answer 304, without a body. What is news goes to the index as well.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use humantime::format_duration;
use reqwest::header::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Answer, Question};
use crate::apiserver::{Client, Identity, IdentityError, Validators};
use crate::config::{Config, Peer, PeerName, Polling};
use crate::facts::{Observation, Reading, Report, View};
use crate::metrics::{AbsenceAnswer, Metrics};
use api_discovery::{Known, Part};

/// At most so many rounds begin within this time: ten in any second. They need
/// not be evenly spread, so that most of a few questions in a row wait for
/// nothing; and who must wait does so for less than the filter's timeout.
const ROUNDS: (usize, Duration) = (5, Duration::from_millis(500));

/// The time of a round where no timeout of the filter is configured.
const DEFAULT_LIMIT: Duration = Duration::from_millis(400);

/// Asks the peers when somebody wants to know.
pub struct Prober {
    configs: watch::Receiver<Arc<Config>>,
    views: watch::Receiver<Vec<View>>,
    questions: mpsc::Receiver<Question>,
    reports: mpsc::Sender<Report>,
    metrics: Metrics,
    clients: Clients,
    /// Peers that did not answer the last time: it is said once.
    silent: HashSet<PeerName>,
}

/// What a round needs to ask a peer.
#[derive(Default)]
struct Clients {
    made_for: Option<(Arc<Config>, Identity)>,
    by_peer: HashMap<SocketAddr, Client>,
}

/// What a peer said in a round.
enum Said {
    This(Known),
    Nothing,
}

impl Prober {
    /// Answers `questions`; `views` are what the index knows of the peers, and
    /// what is news is sent to `reports`.
    #[must_use]
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        views: watch::Receiver<Vec<View>>,
        questions: mpsc::Receiver<Question>,
        reports: mpsc::Sender<Report>,
        metrics: Metrics,
    ) -> Self {
        let (clients, silent) = (Clients::default(), HashSet::new());
        Self { configs, views, questions, reports, metrics, clients, silent }
    }

    /// Goes on until nobody can ask any more.
    pub async fn run(mut self) {
        let (most, within) = ROUNDS;
        let mut begun = VecDeque::with_capacity(most);
        while let Some(first) = self.questions.recv().await {
            if begun.len() == most
                && let Some(earliest) = begun.pop_front()
            {
                tokio::time::sleep_until(earliest + within).await;
            }
            begun.push_back(Instant::now());
            let mut asked = vec![first];
            while let Ok(question) = self.questions.try_recv() {
                asked.push(question);
            }
            // Those who gave up meanwhile cost nothing.
            asked.retain(|question| !question.answer.is_closed());
            if asked.is_empty() {
                continue;
            }
            let parts = Part::ALL.into_iter();
            let parts: Vec<_> =
                parts.filter(|part| asked.iter().any(|q| q.wanted.part() == *part)).collect();
            let said = self.round(&parts).await;
            for Question { wanted, answer } in asked {
                let served = |said: &Said| matches!(said, Said::This(known) if wanted.is_in(known));
                let unclear = said.is_empty() || said.iter().any(|s| matches!(s, Said::Nothing));
                let result = match (said.iter().any(served), unclear) {
                    (true, _) => Answer::Served,
                    (false, true) => Answer::Unclear,
                    (false, false) => Answer::Absent,
                };
                self.metrics.absence_answered(AbsenceAnswer::of(result));
                // Whoever asked may be gone.
                let _ = answer.send(result);
            }
        }
    }

    async fn round(&mut self, parts: &[Part]) -> Vec<Said> {
        self.metrics.absence_round();
        let config = self.configs.borrow().clone();
        let views = self.views.borrow().clone();
        if let Err(error) = self.clients.refresh(&config) {
            tracing::warn!(%error, "identity cannot be used");
        }
        let mut round = JoinSet::new();
        let limit = self.clients.limit(&config);
        // Who has just left says nothing, and might have said yes.
        let mut said: Vec<_> =
            views.iter().filter(|view| view.just_left).map(|_| Said::Nothing).collect();
        for view in views.into_iter().filter(|view| view.serving) {
            let Some(client) = self.clients.of(&view.peer, &config) else {
                said.push(Said::Nothing);
                continue;
            };
            let parts = parts.to_vec();
            let reports = self.reports.clone();
            round.spawn(async move {
                let peer = view.peer.name.clone();
                let answer = tokio::time::timeout(limit, ask(client, view, &parts, &reports));
                let late = |_| Err(format!("no answer within {}", format_duration(limit)));
                (peer, answer.await.unwrap_or_else(late))
            });
        }
        while let Some(result) = round.join_next().await {
            said.push(match result {
                Ok((peer, result)) => self.heard(peer, result),
                Err(_) => Said::Nothing,
            });
        }
        said
    }

    fn heard(&mut self, peer: PeerName, result: Result<Known, String>) -> Said {
        match result {
            Ok(known) => {
                self.silent.remove(&peer);
                Said::This(known)
            }
            Err(error) => {
                self.metrics.absence_failed(&peer);
                if self.silent.insert(peer.clone()) {
                    tracing::warn!(%peer, error, "cannot be asked whether it serves a type");
                }
                Said::Nothing
            }
        }
    }
}

/// What a peer serves now.
async fn ask(
    client: Client,
    view: View,
    parts: &[Part],
    reports: &mpsc::Sender<Report>,
) -> Result<Known, String> {
    let View { peer, mut known, etags, .. } = view;
    let asked = Instant::now().into_std();
    let mut readings = [(Part::Core, Reading::Unchanged), (Part::Named, Reading::Unchanged)];
    let mut news = false;
    for (part, reading) in readings.iter_mut().filter(|(part, _)| parts.contains(part)) {
        let etag = etags.iter().find(|(of, _)| of == part).and_then(|(_, etag)| etag.as_deref());
        let quoted = etag.and_then(|etag| HeaderValue::from_str(&format!("\"{etag}\"")).ok());
        let mut validators = Validators::of(*part, quoted);
        *reading = client.discovery(*part, &mut validators).await.map_err(|e| e.to_string())?;
        if let Reading::Listed(listing, _) = reading {
            news |= known.update(*part, listing.clone());
        }
    }
    if news {
        let observation = Observation::Discovered { readings };
        // The index is gone only when the companion ends.
        let _ = reports.send(Report { peer, asked, observation }).await;
    }
    Ok(known)
}

impl Clients {
    /// Makes them anew when the configuration or the identity's files changed.
    fn refresh(&mut self, config: &Arc<Config>) -> Result<(), IdentityError> {
        let identity = Identity::load(&config.peer_tls, &config.credentials)?;
        let same = self
            .made_for
            .as_ref()
            .is_some_and(|(made_for, with)| Arc::ptr_eq(made_for, config) && *with == identity);
        if !same {
            self.by_peer.clear();
            self.made_for = Some((Arc::clone(config), identity));
        }
        Ok(())
    }

    fn of(&mut self, peer: &Peer, config: &Config) -> Option<Client> {
        if let Some(client) = self.by_peer.get(&peer.address) {
            return Some(client.clone());
        }
        let (_, identity) = self.made_for.as_ref()?;
        let polling = Polling { timeout: self.limit(config), ..config.polling.clone() };
        let client = Client::new(peer, &config.peer_tls.server_name, &polling, identity).ok()?;
        self.by_peer.insert(peer.address, client.clone());
        Some(client)
    }

    /// The time of a round. Whoever asks may wait for the end of a round that
    /// began before, and then for one that counts; and the filter waits no
    /// longer than configured.
    fn limit(&self, config: &Config) -> Duration {
        let strict = config.strict_not_found.as_ref();
        strict.map_or(DEFAULT_LIMIT, |strict| strict.timeout * 2 / 5).min(config.polling.timeout)
    }
}
