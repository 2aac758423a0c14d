//! Reads one resource every 30 seconds from whichever peer serves.

use std::sync::Arc;
use std::time::Duration;

use discovery_map::PeerState;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use crate::apiserver::{Clients, CredentialsError, FetchError, Limits};
use crate::config::{Config, Peer, PeerName};
use crate::facts::{PeerStatus, Roster};

/// From one answer to the next request.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same if there was no answer.
const RETRY: Duration = Duration::from_secs(5);

/// A resource that every peer has in common.
pub trait Shared: Send + 'static {
    /// What it has, for the log.
    const WHAT: &'static str;
    /// What is used until it is read, for the log.
    const OTHERWISE: &'static str;
    const PATH: &'static str;
    const ACCEPT: &'static str;
    /// The largest body to read, in bytes, if `polling.maxResponseBytes` is not smaller.
    const MAX_BYTES: u64;

    /// What a peer sends.
    type Body: DeserializeOwned + Send + 'static;
    /// What it says.
    type Value: Send + 'static;

    /// Returns what the body says.
    ///
    /// # Errors
    /// It is not usable. No other peer would send a better one.
    fn value(body: Self::Body) -> Result<Self::Value, String>;

    /// Returns whether it matters that it is not read.
    fn matters(config: &Config) -> bool;
}

/// Why the resource was not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// The peer did not answer, or not with the resource. It may the next time.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// The content. It must be changed in the control plane.
    #[error("{0}")]
    Unusable(String),
}

/// What a reader follows: the configuration, how the peers are, and which there are.
pub type Followed =
    (watch::Receiver<Arc<Config>>, watch::Receiver<Vec<PeerStatus>>, watch::Receiver<Arc<Roster>>);

pub struct Reader<S: Shared> {
    configs: watch::Receiver<Arc<Config>>,
    peers: watch::Receiver<Vec<PeerStatus>>,
    rosters: watch::Receiver<Arc<Roster>>,
    values: mpsc::Sender<Option<S::Value>>,
    clients: Clients,
    /// The problem of the last attempt; logged once.
    problem: Option<String>,
}

impl<S: Shared> Reader<S> {
    /// Returns a reader that asks a peer that serves. `values` gets the
    /// outcome of each attempt; none if the resource was not read.
    pub fn new(
        (configs, peers, rosters): Followed,
        values: mpsc::Sender<Option<S::Value>>,
    ) -> Self {
        Self { configs, peers, rosters, values, clients: Clients::default(), problem: None }
    }

    /// Runs until no receiver is left.
    pub async fn run(mut self) {
        loop {
            let serves = |peer: &PeerStatus| peer.state == PeerState::Serving;
            let any = |peers: &Vec<PeerStatus>| peers.iter().any(serves);
            let serving: Vec<_> = match self.peers.wait_for(any).await {
                Err(_) => return,
                Ok(peers) => peers.iter().filter(|peer| serves(peer)).map(|p| p.address).collect(),
            };
            let config = self.configs.borrow_and_update().clone();
            let roster = self.rosters.borrow().clone();
            let peers = roster.peers.iter().filter(|peer| serving.contains(&peer.address));
            let mut pause = RETRY;
            if let Some((peer, result)) = self.ask(&config, peers).await {
                if is_answered(&result) {
                    pause = INTERVAL;
                }
                self.log(&config, peer, result.as_ref().err());
                if self.values.send(result.ok()).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.configs.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks one peer after the other until one gives an answer that counts, and
    /// returns the last result; none if there is no peer.
    async fn ask<'p>(
        &mut self,
        config: &Arc<Config>,
        peers: impl Iterator<Item = &'p Peer>,
    ) -> Option<(&'p PeerName, Result<S::Value, ReadError>)> {
        let mut last = None;
        for peer in peers {
            let result = self.read(config, peer).await;
            let answered = is_answered(&result);
            last = Some((&peer.name, result));
            if answered {
                break;
            }
        }
        last
    }

    async fn read(&mut self, config: &Arc<Config>, peer: &Peer) -> Result<S::Value, ReadError> {
        let limits = Limits::from(&config.polling);
        let limits = Limits { bytes: limits.bytes.min(S::MAX_BYTES), ..limits };
        let client = self.clients.refresh(config, &peer.name)?.get(peer, limits)?;
        let answer = client.get(S::PATH, S::ACCEPT, None).await?.ok()?;
        S::value(answer.json().await?).map_err(ReadError::Unusable)
    }

    fn log(&mut self, config: &Config, peer: &PeerName, error: Option<&ReadError>) {
        let problem = error.map(ToString::to_string);
        if problem == self.problem {
            return;
        }
        let (what, otherwise) = (S::WHAT, S::OTHERWISE);
        match &problem {
            None => tracing::info!(%peer, "read {what} from the API servers"),
            Some(error) if S::matters(config) => {
                tracing::warn!(%peer, error, "cannot read {what} from the API servers: {otherwise}");
            }
            Some(error) => {
                tracing::info!(%peer, error, "cannot read {what} from the API servers: {otherwise}");
            }
        }
        self.problem = problem;
    }
}

/// Returns whether every other peer would answer the same. Permissions and objects are in the store
/// that all peers share, so a 403 or 404 is. A 401 is not, because each peer has files of its own
/// by which it knows a token; nor is any other status, which is about the peer or the connection.
fn is_answered<T>(result: &Result<T, ReadError>) -> bool {
    match result {
        Ok(_) | Err(ReadError::Unusable(_)) => true,
        Err(ReadError::Fetch(FetchError::Status { status, .. })) => {
            matches!(*status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
        }
        Err(ReadError::Fetch(_) | ReadError::Credentials(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_about_one_peer_is_not_an_answer() {
        let answered = |status| {
            let error = FetchError::Status { path: "/x".to_owned(), status };
            is_answered::<()>(&Err(ReadError::Fetch(error)))
        };
        assert!(answered(StatusCode::FORBIDDEN) && answered(StatusCode::NOT_FOUND));
        for status in [400, 401, 406, 408, 429, 500, 503] {
            assert!(!answered(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        assert!(is_answered(&Ok(())));
        assert!(is_answered::<()>(&Err(ReadError::Unusable("x".to_owned()))));
    }
}
