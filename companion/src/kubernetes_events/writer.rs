//! Writes Events through whichever peer serves, with the companion's own credentials.

use std::sync::Arc;

use discovery_map::PeerState;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::body;
use super::error::{WriteError, is_of_all_peers};
use super::metrics::Outcome;
use super::stories::Write;
use crate::apiserver::{Answer, ApiServerClient, Clients, FetchError, Limits};
use crate::config::{Config, EventsTarget, Peer};
use crate::facts::{PeerStatus, Roster};

/// The largest answer that is read, in bytes: an API server answers with the Event.
const MAX_BYTES: u64 = 256 << 10;

const JSON: &str = "application/json";

/// RFC 7386.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Reaches the peers.
pub(super) struct Writer {
    pub peers: watch::Receiver<Vec<PeerStatus>>,
    pub rosters: watch::Receiver<Arc<Roster>>,
    pub clients: Clients,
}

/// What an API server says of an error, of its `Status`.
#[derive(Default, Deserialize)]
struct StatusMessage {
    #[serde(default)]
    message: String,
}

/// What of an object is read.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

impl Writer {
    /// Writes an Event at the first peer that takes it, or says for all that it must not be.
    ///
    /// # Errors
    /// The control plane refuses it, or no peer answers.
    pub(super) async fn write(
        &mut self,
        config: &Arc<Config>,
        target: &EventsTarget,
        write: &Write,
    ) -> Result<Outcome, WriteError> {
        let mut last = WriteError::NoPeer;
        for peer in self.serving() {
            let limits = Limits::from(&config.polling);
            let limits = Limits { bytes: limits.bytes.min(MAX_BYTES), ..limits };
            let client = self.clients.refresh(config, &peer.name)?.get(&peer, limits)?;
            match at(&client, target, write).await {
                Err(error) if !error.is_final() => last = error,
                answered => return answered,
            }
        }
        Err(last)
    }

    fn serving(&self) -> Vec<Peer> {
        let peers = self.peers.borrow();
        let serves = |peer: &&Peer| {
            let mut all = peers.iter();
            all.any(|status| {
                status.address == peer.address && status.state == PeerState::Serving && !status.left
            })
        };
        self.rosters.borrow().peers.iter().filter(serves).cloned().collect()
    }
}

/// Writes an Event at one peer.
async fn at(
    client: &ApiServerClient,
    target: &EventsTarget,
    write: &Write,
) -> Result<Outcome, WriteError> {
    let events = body::path(target);
    match write {
        Write::Create(name, story) => {
            let event = body::event(target, name, uid(client, target).await, story);
            send(client, Method::POST, &events, JSON, &event).await
        }
        Write::Count(name, story) => {
            let path = format!("{events}/{name}");
            send(client, Method::PATCH, &path, MERGE_PATCH, &body::patch(story)).await
        }
    }
}

async fn send(
    client: &ApiServerClient,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: &impl Serialize,
) -> Result<Outcome, WriteError> {
    let creates = method == Method::POST;
    let answer = client.send(method, path, content_type, body).await?;
    match answer.status {
        status if status.is_success() => {
            answer.drain().await?;
            Ok(Outcome::Written)
        }
        StatusCode::CONFLICT if creates => {
            answer.drain().await?;
            Ok(Outcome::Duplicate)
        }
        status if is_of_all_peers(status) => {
            let said = read::<StatusMessage>(answer).await.unwrap_or_default();
            Err(WriteError::Refused { status, message: said.message })
        }
        _ => Err(answer.unexpected().into()),
    }
}

/// Returns the `uid` of the Service, without which `kubectl describe` does not show the Events. It is
/// not known if the companion may not read the Service, or there is none.
async fn uid(client: &ApiServerClient, target: &EventsTarget) -> Option<String> {
    let answer = client.get(&body::service_path(target), JSON, None).await.ok()?;
    let object = read::<Object>(answer.ok().ok()?).await.ok()?;
    Some(object.metadata.uid)
}

async fn read<T: DeserializeOwned + Send + 'static>(answer: Answer) -> Result<T, FetchError> {
    answer.json().await
}
