//! A resource as a stream carries it, with a version that its content gives.
//!
//! Equal content has an equal version in every companion, so that an Envoy can go from one to
//! another and gets only what differs. The version of endpoints is their text: from it, a
//! companion knows which endpoints an Envoy has, even if another companion sent them.
//!
//! The version of a filter says nothing of the generation of its map, which differs from push to
//! push. Otherwise Envoy would take a filter that it refused for known when it gets it again, and a
//! worker that still has the plugin of an earlier push would not configure it with the map.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::kind::Kind;
use crate::endpoints::Endpoints;
use crate::xds::{self, Encoded};

/// The generation in the bytes of a filter that are shared. Others have as many digits.
pub const GENERATION: u64 = 1_000_000_000_000_000;
const DIGITS: usize = 16;

/// Metrics and JSON readers have 53 bits. As microseconds since 1970: in the year 2255.
const MOST: u64 = (1 << 53) - 1;

/// A resource, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub name: String,
    pub version: String,
    /// A response in the delta form that has this resource and nothing else.
    delta: Bytes,
    /// The same in the older form.
    whole: Bytes,
    /// What it was made of, if it is a listener.
    pub listener: Option<Listener>,
    /// Where the generation of its map is, if it is a filter.
    generation: Option<Place>,
}

/// Where something is in either form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    delta: usize,
    whole: usize,
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

/// The filter chain of a control plane.
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
        let mut older = pb::DiscoveryResponse { resources: vec![any], ..Default::default() };
        let whole = older.encode_to_vec().into();
        let resource = pb::Resource {
            name: name.clone(),
            version: version.clone(),
            resource: older.resources.pop(),
            ..pb::Resource::default()
        };
        let delta = pb::DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
        let delta = delta.encode_to_vec().into();
        Self { name, version, delta, whole, listener: None, generation: None }
    }

    /// Returns a filter as a resource. The generation of its map must be [`GENERATION`].
    pub fn of_filter(name: String, version: String, body: Vec<u8>) -> Self {
        let mut filter = Self::new(Kind::Filter, name, version, body);
        let field = format!("\"generation\":{GENERATION}");
        // Quotes in a text of the map have a backslash before them, so the first is the field.
        let place = |bytes: &Bytes| {
            let at = bytes.windows(field.len()).position(|window| window == field.as_bytes())?;
            Some(at + field.len() - DIGITS)
        };
        let places = (place(&filter.delta), place(&filter.whole));
        filter.generation = match places {
            (Some(delta), Some(whole)) => Some(Place { delta, whole }),
            _ => None,
        };
        filter
    }

    /// Returns a response in the delta form, in pieces. If it is a filter, its map has this
    /// generation.
    pub fn delta(&self, generation: u64) -> Vec<Bytes> {
        pieces(&self.delta, self.generation.map(|place| place.delta), generation)
    }

    /// Returns a response in the older form, in pieces.
    pub fn whole(&self, generation: u64) -> Vec<Bytes> {
        pieces(&self.whole, self.generation.map(|place| place.whole), generation)
    }

    /// Returns a listener as a resource.
    pub fn of_listener(listener: Listener) -> Self {
        let chains = listener.chains.values().map(|chain| &chain.chain);
        let Encoded { body, version } = xds::listener(&listener.base, chains);
        let resource = Self::new(Kind::Listeners, listener.name.clone(), version, body.into());
        Self { listener: Some(listener), ..resource }
    }

    /// Returns the connection manager of a chain as a resource.
    pub fn of_connections(chain: &Chain) -> Option<Self> {
        let (name, Encoded { body, version }) = chain.connections.clone()?;
        Some(Self::new(Kind::Filter, name, version, body.to_vec()))
    }
}

/// Returns these bytes, with another generation at this place. All but that is shared.
fn pieces(bytes: &Bytes, place: Option<usize>, generation: u64) -> Vec<Bytes> {
    let Some(place) = place else { return vec![bytes.clone()] };
    let text = generation.clamp(GENERATION, MOST).to_string();
    vec![bytes.slice(..place), text.into(), bytes.slice(place + DIGITS..)]
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
    fn each_push_of_a_filter_has_another_generation_in_the_same_bytes() {
        let map = format!("{{\"a\":\"\\\"generation\\\":1\",\"generation\":{GENERATION},\"b\":1}}");
        let filter = Resource::of_filter("filter".into(), "v".into(), map.into_bytes());
        for (generation, expected) in
            [(1_790_000_000_000_000, 1_790_000_000_000_000), (7, GENERATION)]
        {
            let delta = filter.delta(generation).concat();
            let delta = pb::DeltaDiscoveryResponse::decode(delta.as_slice()).unwrap();
            let whole = filter.whole(generation).concat();
            let whole = pb::DiscoveryResponse::decode(whole.as_slice()).unwrap();
            let body = delta.resources[0].resource.as_ref().unwrap();
            assert_eq!((&delta.resources[0].version, body), (&"v".to_owned(), &whole.resources[0]));
            let map: serde_json::Value = serde_json::from_slice(&body.value).unwrap();
            assert_eq!((&map["generation"], &map["b"]), (&expected.into(), &1.into()));
        }
        let other = Resource::new(Kind::Clusters, "a".into(), "v".into(), vec![1, 2]);
        assert_eq!(other.delta(1), other.delta(2));
    }

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
