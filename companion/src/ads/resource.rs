//! A resource as a stream carries it, with a version that its content gives.
//!
//! Equal content has an equal version in every companion, so that an Envoy can go from one to
//! another and gets only what differs. The version of endpoints is their text: whoever reads it
//! knows which endpoints an Envoy has, without having told it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::kind::Kind;
use crate::endpoints::Endpoints;
use crate::xds::{self, Encoded};

/// A resource, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub name: String,
    pub version: String,
    /// A response in the delta form that has this resource and nothing else.
    pub delta: Bytes,
    /// The same in the older form.
    pub whole: Bytes,
    /// What it was made of, if it is a listener.
    pub listener: Option<Listener>,
}

/// A listener, and who has filter chains in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    /// The listener without the filter chains of control planes.
    pub base: Encoded,
    /// By the prefix of the control plane's clusters.
    pub chains: BTreeMap<String, Chain>,
}

/// The way of a control plane's clients through a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub chain: Encoded,
    /// What the chain asks for by name: the connection manager. It goes where filters go.
    pub connections: Option<(String, Encoded)>,
}

impl Resource {
    /// Returns the resource whose message is `body`, encoded.
    pub fn new(kind: Kind, name: String, version: String, body: Vec<u8>) -> Self {
        let any = Any { type_url: kind.url().to_owned(), value: body };
        let resource = pb::Resource {
            name: name.clone(),
            version: version.clone(),
            resource: Some(any.clone()),
            ..pb::Resource::default()
        };
        let delta = pb::DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
        let whole = pb::DiscoveryResponse { resources: vec![any], ..Default::default() };
        let (delta, whole) = (delta.encode_to_vec().into(), whole.encode_to_vec().into());
        Self { name, version, delta, whole, listener: None }
    }

    /// Returns a listener as a resource.
    pub fn of_listener(listener: Listener) -> Self {
        let chains = listener.chains.values().map(|chain| &chain.chain);
        let Encoded { body, version } = xds::listener(&listener.base, chains);
        let resource = Self::new(Kind::Listeners, listener.name.clone(), version, body.to_vec());
        Self { listener: Some(listener), ..resource }
    }

    /// Returns the connection manager of a chain as a resource.
    pub fn of_connections(chain: &Chain) -> Option<Self> {
        let (name, Encoded { body, version }) = chain.connections.clone()?;
        Some(Self::new(Kind::Filter, name, version, body.to_vec()))
    }
}

/// Returns the version of endpoints: the addresses, in levels.
pub fn version_of(endpoints: &Endpoints) -> String {
    let text = |level: &Vec<SocketAddr>| {
        level.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    endpoints.levels().iter().map(text).collect::<Vec<_>>().join(";")
}

/// Returns the endpoints of a version. `None` if it is not a version of endpoints.
pub fn endpoints_of(version: &str) -> Option<Endpoints> {
    let level = |text: &str| text.split(',').map(|address| address.parse().ok()).collect();
    let levels: Option<Vec<Vec<SocketAddr>>> = version.split(';').map(level).collect();
    levels.map(Endpoints::of_levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_endpoints_says_which_they_are() {
        let address = |text: &str| text.parse().unwrap();
        let levels = [
            vec![address("10.0.0.1:6443"), address("[fd00::2]:6443")],
            vec![address("10.0.0.3:1")],
        ];
        let endpoints = Endpoints::of_levels(levels);
        assert_eq!(version_of(&endpoints), "10.0.0.1:6443,[fd00::2]:6443;10.0.0.3:1");
        assert_eq!(endpoints_of(&version_of(&endpoints)), Some(endpoints));
        assert_eq!(endpoints_of("17"), None);
        assert_eq!(endpoints_of(""), None);
    }
}
