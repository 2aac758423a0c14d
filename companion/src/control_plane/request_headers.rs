//! Asks the cluster by which headers a front proxy speaks to it.
//!
//! kube-apiserver writes its `--requestheader-*` flags into a `ConfigMap`, for
//! extension API servers to read. A companion that may not read it, or whose
//! cluster has none, uses the configured names.

mod configmap;

use std::sync::Arc;
use std::time::Duration;

use discovery_map::PeerState;
use reqwest::StatusCode;
use tokio::sync::{mpsc, watch};

use crate::apiserver::{Client, FetchError, Identity, IdentityError};
use crate::config::{Config, Peer, Polling, RequestHeaders};
use crate::facts::PeerStatus;
use configmap::{ConfigMap, Unusable};

const PATH: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// From one answer to the next question.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same when there was no answer.
const RETRY: Duration = Duration::from_secs(5);

/// No `ConfigMap` is larger than a mebibyte; its JSON can be twice that.
const MAX_BYTES: u64 = 2 << 20;

/// Why the names are not known.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// It may be another time.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The files of the companion's own identity.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// They are there and are not taken, none of them.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Asks every 30 seconds.
pub struct Reader {
    configs: watch::Receiver<Arc<Config>>,
    peers: watch::Receiver<Vec<PeerStatus>>,
    names: mpsc::Sender<Option<RequestHeaders>>,
    /// What was wrong the last time; said once.
    problem: Option<String>,
}

impl Reader {
    /// Asks one of those of `peers` that serve; what was read goes to `names`.
    #[must_use]
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        peers: watch::Receiver<Vec<PeerStatus>>,
        names: mpsc::Sender<Option<RequestHeaders>>,
    ) -> Self {
        Self { configs, peers, names, problem: None }
    }

    /// Goes on until nobody listens.
    pub async fn run(mut self) {
        loop {
            let any = |peers: &Vec<PeerStatus>| peers.iter().any(serves);
            if self.peers.wait_for(any).await.is_err() {
                return;
            }
            let config = self.configs.borrow_and_update().clone();
            let mut pause = RETRY;
            if let Some(result) = self.ask(&config).await {
                if is_answered(&result) {
                    pause = INTERVAL;
                }
                self.say(&config, &result);
                if self.names.send(result.ok()).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.configs.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks one after the other until one gives an answer that counts. None:
    /// there is none to ask.
    async fn ask(&self, config: &Config) -> Option<Result<RequestHeaders, ReadError>> {
        let serving: Vec<_> = self
            .peers
            .borrow()
            .iter()
            .filter(|peer| serves(peer))
            .map(|peer| peer.address)
            .collect();
        let mut last = None;
        for peer in config.peers.iter().filter(|peer| serving.contains(&peer.address)) {
            let result = read(peer, config).await;
            let answered = is_answered(&result);
            last = Some(result);
            if answered {
                break;
            }
        }
        last
    }

    fn say(&mut self, config: &Config, result: &Result<RequestHeaders, ReadError>) {
        let problem = result.as_ref().err().map(ToString::to_string);
        if problem == self.problem {
            return;
        }
        match &problem {
            None => tracing::info!("names of the identity headers read from the cluster"),
            // Without a front proxy the names matter little.
            Some(error) if config.front_proxy.is_none() => {
                tracing::info!(error, "names of the identity headers not read from the cluster");
            }
            Some(error) => tracing::warn!(
                error,
                "names of the identity headers cannot be read from the cluster: those read \
                 before stay, or the configured ones"
            ),
        }
        self.problem = problem;
    }
}

/// Whether another peer would say the same.
fn is_answered(result: &Result<RequestHeaders, ReadError>) -> bool {
    match result {
        Ok(_) | Err(ReadError::Unusable(_)) => true,
        Err(ReadError::Fetch(FetchError::Status { status, .. })) => {
            status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS
        }
        Err(ReadError::Fetch(_) | ReadError::Identity(_)) => false,
    }
}

fn serves(peer: &PeerStatus) -> bool {
    peer.state == PeerState::Serving
}

async fn read(peer: &Peer, config: &Config) -> Result<RequestHeaders, ReadError> {
    let identity = Identity::load(&config.peer_tls, &config.credentials)?;
    let bound = config.polling.max_response_bytes.min(MAX_BYTES);
    let polling = Polling { max_response_bytes: bound, ..config.polling.clone() };
    let client = Client::new(peer, &config.peer_tls.server_name, &polling, &identity)?;
    let (status, answer) = client.get(PATH, "application/json", None).await?;
    if status != StatusCode::OK {
        return Err(answer.unexpected().into());
    }
    Ok(answer.json::<ConfigMap>().await?.request_headers()?)
}
