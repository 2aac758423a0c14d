//! The two forms of the protocol, as messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use prost::Message as _;

use super::kind::Kind;
use super::resource::Resource;
use super::session::{Push, Request, Session};
use super::snapshot::Snapshot;
use super::told::{is_of_delta, is_of_whole};
use super::version::version_of_all;

/// What is on its way to an Envoy. It shares the resources with all other streams.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    pub nonce: String,
    /// Each with the generation of its map, which only filters have.
    pub resources: Vec<(Arc<Resource>, u64)>,
    pub removed: Vec<String>,
}

/// One form of the protocol.
pub trait Form: Send + 'static {
    /// What an Envoy sends.
    type Request: prost::Message + Default + 'static;

    /// The name in `/v1/envoys`.
    const NAME: &str;
    /// Whether a response can say that something does not exist.
    const TELLS_ABSENCE: bool;

    /// Returns who sends the request, if it says so.
    fn node(request: &Self::Request) -> Option<&Node>;

    /// Returns whether the Envoy has nothing, or only what is in this snapshot, as far as the request
    /// says.
    fn is_of(request: &Self::Request, snapshot: &Snapshot) -> bool;

    /// Returns what the request says. `None` if it says nothing, or is about other types.
    fn read(request: Self::Request, session: &Session) -> Option<Request>;

    /// Returns what carries a push.
    fn message(push: Push, session: &Session) -> Message;

    /// Returns the response without its resources, encoded.
    fn envelope(message: &Message) -> Vec<u8>;

    /// Returns a response with this resource and nothing else, encoded, in pieces.
    fn pieces(resource: &Resource, generation: u64) -> Vec<Bytes>;
}

/// Each response has what changed.
#[derive(Debug)]
pub struct Delta;

/// Each response has everything.
#[derive(Debug)]
pub struct StateOfTheWorld;

impl Form for Delta {
    type Request = pb::DeltaDiscoveryRequest;

    const NAME: &str = "delta";
    const TELLS_ABSENCE: bool = true;

    fn node(request: &Self::Request) -> Option<&Node> {
        request.node.as_ref()
    }

    fn is_of(request: &Self::Request, snapshot: &Snapshot) -> bool {
        is_of_delta(request, snapshot)
    }

    fn read(request: Self::Request, _: &Session) -> Option<Request> {
        Some(Request {
            kind: Kind::of_url(&request.type_url)?,
            subscribe: request.resource_names_subscribe,
            unsubscribe: request.resource_names_unsubscribe,
            resumes: !request.initial_resource_versions.is_empty(),
            versions: request.initial_resource_versions.into_iter().collect(),
            nonce: request.response_nonce,
            refusal: request.error_detail.map(|status| status.message),
        })
    }

    fn message(push: Push, _: &Session) -> Message {
        let Push { kind, nonce, upserts, removed, generation } = push;
        let resources = upserts.into_iter().map(|resource| (resource, generation)).collect();
        Message { kind, nonce, resources, removed }
    }

    fn envelope(message: &Message) -> Vec<u8> {
        let envelope = pb::DeltaDiscoveryResponse {
            system_version_info: version(&message.resources),
            type_url: message.kind.url().to_owned(),
            removed_resources: message.removed.clone(),
            nonce: message.nonce.clone(),
            ..pb::DeltaDiscoveryResponse::default()
        };
        envelope.encode_to_vec()
    }

    fn pieces(resource: &Resource, generation: u64) -> Vec<Bytes> {
        resource.delta(generation)
    }
}

impl Form for StateOfTheWorld {
    type Request = pb::DiscoveryRequest;

    const NAME: &str = "state of the world";
    const TELLS_ABSENCE: bool = false;

    fn node(request: &Self::Request) -> Option<&Node> {
        request.node.as_ref()
    }

    fn is_of(request: &Self::Request, snapshot: &Snapshot) -> bool {
        is_of_whole(request, snapshot)
    }

    fn read(request: Self::Request, session: &Session) -> Option<Request> {
        let kind = Kind::of_url(&request.type_url)?;
        let nonce = request.response_nonce;
        // It was sent before the last push arrived, and is sent again after it.
        if !nonce.is_empty() && nonce != session.last_nonce(kind) {
            return None;
        }
        let names: BTreeSet<_> = request.resource_names.into_iter().collect();
        let before = session.names(kind);
        Some(Request {
            kind,
            subscribe: names.difference(&before).cloned().collect(),
            unsubscribe: before.difference(&names).cloned().collect(),
            resumes: nonce.is_empty() && !request.version_info.is_empty(),
            versions: Vec::new(),
            nonce,
            refusal: request.error_detail.map(|status| status.message),
        })
    }

    fn message(push: Push, session: &Session) -> Message {
        let resources = session.all_with(&push);
        Message { kind: push.kind, nonce: push.nonce, resources, removed: Vec::new() }
    }

    fn envelope(message: &Message) -> Vec<u8> {
        let envelope = pb::DiscoveryResponse {
            version_info: version(&message.resources),
            type_url: message.kind.url().to_owned(),
            nonce: message.nonce.clone(),
            ..pb::DiscoveryResponse::default()
        };
        envelope.encode_to_vec()
    }

    fn pieces(resource: &Resource, generation: u64) -> Vec<Bytes> {
        resource.whole(generation)
    }
}

fn version(resources: &[(Arc<Resource>, u64)]) -> String {
    version_of_all(
        resources.iter().map(|(resource, _)| (resource.name.as_str(), resource.version.as_str())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envoy_says_in_either_form_whether_it_has_something() {
        let session = Session::new(true);
        let type_url = Kind::Clusters.url().to_owned();
        for version in ["", "1"] {
            let mut delta =
                pb::DeltaDiscoveryRequest { type_url: type_url.clone(), ..Default::default() };
            let mut older =
                pb::DiscoveryRequest { type_url: type_url.clone(), ..Default::default() };
            if !version.is_empty() {
                delta.initial_resource_versions.insert("a".to_owned(), version.to_owned());
                version.clone_into(&mut older.version_info);
            }
            assert_eq!(Delta::read(delta, &session).unwrap().resumes, !version.is_empty());
            assert_eq!(
                StateOfTheWorld::read(older, &session).unwrap().resumes,
                !version.is_empty()
            );
        }
    }
}
