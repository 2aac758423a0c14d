//! Keeps a task running for every peer that the source has.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::Instrument;

use super::metrics::PollMetrics;
use super::nudge::Nudge;
use super::task::Task;
use crate::config::{Config, CredentialFiles, Peer, PeerName, PeerTls, Polling};
use crate::facts::{Report, Roster};

pub struct Watchers {
    reports: mpsc::Sender<Report>,
    nudge: Nudge,
    metrics: PollMetrics,
    tasks: JoinSet<()>,
    running: HashMap<PeerName, (Settings, AbortHandle)>,
}

/// What a task depends on in the configuration.
type Settings = (Peer, PeerTls, CredentialFiles, Polling);

impl Watchers {
    pub fn new(reports: mpsc::Sender<Report>, metrics: PollMetrics) -> Self {
        let (tasks, running) = (JoinSet::new(), HashMap::new());
        Self { reports, nudge: Nudge::new(), metrics, tasks, running }
    }

    /// Follows the configuration and the peers until a sender is dropped. That a task ends is an error.
    pub async fn run(
        mut self,
        mut configs: watch::Receiver<Arc<Config>>,
        mut rosters: watch::Receiver<Arc<Roster>>,
    ) -> Result<(), String> {
        loop {
            let config = configs.borrow_and_update().clone();
            let roster = rosters.borrow_and_update().clone();
            self.apply(&config, &roster);
            loop {
                tokio::select! {
                    changed = configs.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    changed = rosters.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                }
            }
        }
    }

    /// Ends the tasks whose settings changed, and starts what is missing.
    fn apply(&mut self, config: &Arc<Config>, roster: &Roster) {
        let wanted: HashMap<_, _> =
            roster.peers.iter().map(|peer| (peer.name.clone(), settings(peer, config))).collect();
        self.running.retain(|name, (settings, task)| {
            let keep = wanted.get(name) == Some(settings);
            if !keep {
                task.abort();
                self.metrics.forget_peer(name);
            }
            keep
        });
        for (name, settings) in wanted {
            if self.running.contains_key(&name) {
                continue;
            }
            let task = Task {
                peer: settings.0.clone(),
                config: Arc::clone(config),
                reports: self.reports.clone(),
                metrics: self.metrics.clone(),
            };
            let task = task.run(self.nudge.join()).in_current_span();
            let handle = self.tasks.spawn(task);
            self.running.insert(name, (settings, handle));
        }
    }

    fn ended(&self, ended: Result<(), JoinError>) -> Result<(), String> {
        match ended {
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(format!("the task of a peer ended: {error}")),
            // The index is gone, so the companion is stopping.
            Ok(()) if self.reports.is_closed() => Ok(()),
            Ok(()) => Err("the task of a peer ended unexpectedly".to_owned()),
        }
    }
}

fn settings(peer: &Peer, config: &Config) -> Settings {
    let Config { peer_tls, credentials, polling, .. } = config;
    (peer.clone(), peer_tls.clone(), credentials.clone(), polling.clone())
}
