//! Keeps a task running for every configured peer.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::task::{Nudge, Task};
use crate::config::{Config, Credentials, Peer, PeerName, PeerTls, Polling};
use crate::facts::Report;
use crate::metrics::Metrics;

/// The tasks that watch the peers.
pub struct Watchers {
    reports: mpsc::Sender<Report>,
    nudge: Nudge,
    metrics: Metrics,
    tasks: JoinSet<()>,
    running: HashMap<PeerName, (Settings, AbortHandle)>,
}

/// Everything of the configuration that a task depends on.
#[derive(PartialEq, Eq)]
struct Settings {
    peer: Peer,
    tls: PeerTls,
    credentials: Credentials,
    polling: Polling,
}

/// A task ended that should run for ever.
#[derive(Debug, thiserror::Error)]
#[error("the watch of a peer ended: {0}")]
pub struct WatchEnded(String);

impl Watchers {
    /// No task yet; reports will go to `reports`.
    #[must_use]
    pub fn new(reports: mpsc::Sender<Report>, metrics: Metrics) -> Self {
        let (nudge, _) = watch::channel(0);
        Self { reports, nudge, metrics, tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Follows the configuration until it has no sender any more.
    ///
    /// # Errors
    /// A task ended, which none should.
    pub async fn run(
        mut self,
        mut configs: watch::Receiver<Arc<Config>>,
    ) -> Result<(), WatchEnded> {
        loop {
            let config = configs.borrow_and_update().clone();
            self.apply(&config);
            loop {
                tokio::select! {
                    changed = configs.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                }
            }
        }
    }

    /// Ends the tasks whose settings changed, and starts what is missing.
    fn apply(&mut self, config: &Arc<Config>) {
        let wanted: HashMap<_, _> = config
            .peers
            .iter()
            .map(|peer| (peer.name.clone(), Settings::new(peer, config)))
            .collect();
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
                peer: settings.peer.clone(),
                config: Arc::clone(config),
                reports: self.reports.clone(),
                nudge: self.nudge.clone(),
                metrics: self.metrics.clone(),
            };
            let handle = self.tasks.spawn(task.run());
            self.running.insert(name, (settings, handle));
        }
    }

    fn ended(&self, ended: Result<(), tokio::task::JoinError>) -> Result<(), WatchEnded> {
        match ended {
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(WatchEnded(error.to_string())),
            // The index is gone: the whole companion is ending.
            Ok(()) if self.reports.is_closed() => Ok(()),
            Ok(()) => Err(WatchEnded("without a reason".to_owned())),
        }
    }
}

impl Settings {
    fn new(peer: &Peer, config: &Config) -> Self {
        Self {
            peer: peer.clone(),
            tls: config.peer_tls.clone(),
            credentials: config.credentials.clone(),
            polling: config.polling.clone(),
        }
    }
}
