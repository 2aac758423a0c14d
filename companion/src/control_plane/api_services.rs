//! Asks the cluster where its group-versions come from.

use std::sync::Arc;
use std::time::Duration;

use discovery_map::PeerState;
use reqwest::StatusCode;
use tokio::sync::{mpsc, watch};

use crate::apiserver::{Client, FetchError, Identity, IdentityError};
use crate::config::{Config, Peer};
use crate::facts::PeerStatus;
use api_discovery::{Origins, OriginsList};

const PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// Labels are all that is needed; a server of before this form sends the whole.
const ACCEPT: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// From one answer to the next question: a group-version of which it does not
/// know yet goes by its name.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same when there was no answer.
const RETRY: Duration = Duration::from_secs(5);

/// Asks every 30 seconds.
pub struct OriginsReader {
    configs: watch::Receiver<Arc<Config>>,
    peers: watch::Receiver<Vec<PeerStatus>>,
    origins: mpsc::Sender<Origins>,
    /// What was wrong the last time; said once.
    problem: Option<String>,
}

impl OriginsReader {
    /// Asks one of those of `peers` that serve; what was read goes to `origins`.
    #[must_use]
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        peers: watch::Receiver<Vec<PeerStatus>>,
        origins: mpsc::Sender<Origins>,
    ) -> Self {
        Self { configs, peers, origins, problem: None }
    }

    /// Goes on until nobody listens.
    pub async fn run(mut self) {
        loop {
            let serves = |peer: &PeerStatus| peer.state == PeerState::Serving;
            let any = |peers: &Vec<PeerStatus>| peers.iter().any(serves);
            let serving: Vec<_> = match self.peers.wait_for(any).await {
                Err(_) => return,
                Ok(peers) => peers.iter().filter(|p| serves(p)).map(|p| p.address).collect(),
            };
            let config = self.configs.borrow_and_update().clone();
            let mut pause = RETRY;
            for peer in config.peers.iter().filter(|peer| serving.contains(&peer.address)) {
                let result = read(peer, &config).await;
                self.say(&peer.name, result.as_ref().err());
                match result {
                    Ok(origins) => {
                        if self.origins.send(origins).await.is_err() {
                            return;
                        }
                        pause = INTERVAL;
                        break;
                    }
                    // It may not: no other peer says otherwise.
                    Err(Problem::Refused(_)) => {
                        pause = INTERVAL;
                        break;
                    }
                    Err(_) => {}
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.configs.changed() => if changed.is_err() { return },
            }
        }
    }

    fn say(&mut self, peer: &crate::config::PeerName, error: Option<&Problem>) {
        let problem = error.map(ToString::to_string);
        if let Some(error) = problem.as_ref().filter(|_| problem != self.problem) {
            tracing::info!(
                %peer,
                error,
                "APIServices not listed: the types of a peer that is away are told apart by name"
            );
        }
        self.problem = problem;
    }
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("answered {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
}

async fn read(peer: &Peer, config: &Config) -> Result<Origins, Problem> {
    let identity = Identity::load(&config.peer_tls, &config.credentials)?;
    let client = Client::new(peer, &config.peer_tls.server_name, &config.polling, &identity)?;
    let (status, answer) = client.get(PATH, ACCEPT, None).await?;
    match status {
        StatusCode::OK => Ok(answer.json::<OriginsList>().await?.into()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Err(Problem::Refused(status))
        }
        _ => Err(answer.unexpected().into()),
    }
}
