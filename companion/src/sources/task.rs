//! The task of a control plane's source: starts it as the configuration says, and takes its news.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::metrics::SourceMetrics;
use super::news::News;
use super::standing::{Change, SourceKind, SourceState, SourceStatus, Standing};
use super::{dns, slices};
use crate::channel::send_changed;
use crate::clock::since_1970;
use crate::config::{Config, CredentialFiles, PeerSource, PeerTls, too_many_for_attempts};
use crate::facts::Roster;

/// Who gets what the source says.
pub struct Outputs {
    pub rosters: watch::Sender<Arc<Roster>>,
    pub statuses: watch::Sender<Option<SourceStatus>>,
}

pub struct Task {
    pub configs: watch::Receiver<Arc<Config>>,
    pub outputs: Outputs,
    pub metrics: SourceMetrics,
}

/// What a source depends on in the configuration.
type Settings = (PeerSource, PeerTls, CredentialFiles);

/// Returns the peers to start with: those that the configuration lists, else the last ones.
pub fn first_roster(source: &PeerSource, last: Roster) -> Arc<Roster> {
    Arc::new(match source {
        PeerSource::Static(peers) => listed(peers),
        PeerSource::Dns(_) | PeerSource::EndpointSlices(_) => last,
    })
}

fn listed(peers: &[crate::config::Peer]) -> Roster {
    Roster { peers: peers.to_vec(), by_hand: true, fresh: true }
}

impl Task {
    /// Follows the configuration until its sender is dropped. That a source ends is an error.
    pub async fn run(mut self) -> Result<(), String> {
        loop {
            let config = self.configs.borrow_and_update().clone();
            let settings = settings(&config);
            let mut standing = self.begin(&config.peers);
            let (sender, mut news) = mpsc::channel(1);
            let mut running = self.start(&config, sender);
            loop {
                tokio::select! {
                    changed = self.configs.changed() => match changed {
                        Err(_) => return Ok(()),
                        Ok(()) if self::settings(&self.configs.borrow_and_update()) == settings => {}
                        Ok(()) => break,
                    },
                    Some(news) = news.recv() => self.take(&mut standing, &config.peers, news),
                    Some(ended) = running.join_next() => {
                        let problem = ended.err().map(|error| error.to_string());
                        return Err(problem.unwrap_or_else(|| "the source ended".to_owned()));
                    }
                }
            }
        }
    }

    /// Returns what is known of a source at its start. A list is known as a whole.
    fn begin(&self, source: &PeerSource) -> Standing {
        let last = self.outputs.rosters.borrow().clone();
        let now = since_1970();
        let mut standing = Standing::new(SourceKind::from(source), &last, now);
        if let PeerSource::Static(peers) = source {
            standing.list(listed(peers), now);
        }
        self.metrics.reset();
        self.show(&standing);
        standing
    }

    /// Starts what asks the source. It ends when the result is dropped.
    fn start(&self, config: &Arc<Config>, news: mpsc::Sender<News>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        match &config.peers {
            PeerSource::Static(_) => {}
            PeerSource::Dns(source) => {
                running.spawn(dns::run(source.clone(), news).in_current_span());
            }
            PeerSource::EndpointSlices(source) => {
                let peers = self.outputs.rosters.subscribe();
                let slices = slices::run(source.clone(), Arc::clone(config), peers, news);
                running.spawn(slices.in_current_span());
            }
        }
        running
    }

    fn take(&self, standing: &mut Standing, source: &PeerSource, news: News) {
        let (before, was) = (Arc::clone(&standing.roster), standing.status.state);
        match standing.take(news, since_1970()) {
            Change::Nothing => {}
            Change::Peers => log_peers(&before, &standing.roster),
            Change::Failed(error) => {
                tracing::warn!(%source, error, "the source of the peers fails: the last peers stay");
            }
        }
        match (was, standing.status.state) {
            (_, SourceState::Failing) => self.metrics.failed(standing.status.kind),
            (SourceState::Failing, _) => tracing::info!(%source, "the source of the peers is back"),
            _ => {}
        }
        self.show(standing);
    }

    fn show(&self, standing: &Standing) {
        self.metrics.source(&standing.status);
        send_changed(&self.outputs.rosters, &standing.roster);
        self.outputs.statuses.send_replace(Some(standing.status.clone()));
    }
}

fn settings(config: &Config) -> Settings {
    let Config { peers, peer_tls, credentials, .. } = config;
    (peers.clone(), peer_tls.clone(), credentials.clone())
}

/// Logs which peers came and which left. A name with another address is in both.
fn log_peers(before: &Roster, now: &Roster) {
    let addresses = |roster: &Roster| -> BTreeMap<_, _> {
        roster.peers.iter().map(|peer| (peer.name.clone(), peer.address)).collect()
    };
    let (before, now) = (addresses(before), addresses(now));
    for (peer, address) in before.iter().filter(|(peer, at)| now.get(*peer) != Some(*at)) {
        tracing::info!(%peer, %address, "peer left its source: its types are remembered");
    }
    for (peer, address) in now.iter().filter(|(peer, at)| before.get(*peer) != Some(*at)) {
        tracing::info!(%peer, %address, "peer joined");
    }
    if let Some(warning) = too_many_for_attempts(now.len()).filter(|_| now.len() > before.len()) {
        tracing::warn!("{warning}");
    }
}
