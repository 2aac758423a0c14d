//! The task that records: it compares the facts each time that one of them changes.

use std::time::Duration;

use api_discovery::MinorVersion;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::facts::Facts;
use super::record::History;
use super::refusals::Refusals;
use crate::ads::Refused;
use crate::clock::since_1970;
use crate::facts::PeerStatus;
use crate::publish::Outcome;

/// The time in which refusals of several Envoys are collected.
const SETTLE: Duration = Duration::from_secs(1);

/// What is recorded, and where.
pub struct Recorder {
    /// The name of the control plane, as Envoys' refusals have it.
    pub name: String,
    /// Every peer.
    pub peers: watch::Receiver<Vec<PeerStatus>>,
    /// The answering version; `None` if all versions answer.
    pub answering: watch::Receiver<Option<MinorVersion>>,
    /// What was published.
    pub outcomes: watch::Receiver<Outcome>,
    /// What Envoys refused, of all control planes.
    pub refusals: broadcast::Receiver<Refused>,
    /// Where the changes go.
    pub history: History,
}

impl Recorder {
    /// Records until one of its inputs ends, as they do when the control plane stops.
    pub async fn run(mut self) {
        let mut facts = Facts::default();
        let mut refusals = Refusals::default();
        let mut settled = Instant::now();
        loop {
            tokio::select! {
                changed = self.peers.changed() => if changed.is_err() { return },
                changed = self.answering.changed() => if changed.is_err() { return },
                changed = self.outcomes.changed() => if changed.is_err() { return },
                refused = self.refusals.recv() => {
                    if refusals.is_empty() {
                        settled = Instant::now() + SETTLE;
                    }
                    match refused {
                        Ok(refused) if refused.control_plane == self.name => refusals.add(&refused),
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    }
                    continue;
                }
                () = tokio::time::sleep_until(settled), if !refusals.is_empty() => {
                    self.history.add(since_1970(), refusals.take());
                    continue;
                }
            }
            let next = self.facts();
            let changes = next.since(&facts);
            self.history.add(since_1970(), changes);
            facts = next;
        }
    }

    fn facts(&mut self) -> Facts {
        let outcome = self.outcomes.borrow_and_update().clone();
        Facts {
            peers: self.peers.borrow_and_update().clone(),
            answering: *self.answering.borrow_and_update(),
            map: outcome.publication.map(|publication| publication.map),
            error: outcome.error,
        }
    }
}
