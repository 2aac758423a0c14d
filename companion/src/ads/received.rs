//! Makes a snapshot of the resources that a companion sent, for a mirror to serve.
//!
//! Names and versions stay, so that an Envoy that comes from a companion, or goes back to one, gets
//! only what differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use prost::Message;

use super::kind::Kind;
use super::resource::{Chain, GENERATION, Listener, Resource, endpoints_of};
use super::session::owner;
use super::snapshot::{Listeners, Part, Resources, Snapshot};
use crate::endpoints::Addresses;
use crate::xds::{CONNECTIONS, Encoded};

/// What was received for one control plane.
#[derive(Default)]
struct Received {
    clusters: Resources,
    secrets: Resources,
    filter: Resources,
    endpoints: Addresses,
    encoded: Vec<Resource>,
}

/// Returns whether a version is one of endpoints.
pub fn is_endpoints_version(version: &str) -> bool {
    version.is_empty() || endpoints_of(version).is_some()
}

/// Returns a snapshot with these resources. `None` if a listener cannot be read.
pub fn snapshot<'r>(
    resources: impl Iterator<Item = (Kind, &'r pb::Resource)> + Clone,
) -> Option<Snapshot> {
    let mut clusters = resources.clone().filter(|(kind, _)| *kind == Kind::Clusters);
    // A resource whose name contains no control plane belongs to the only one.
    let alone = clusters.next().and_then(|(kind, one)| owner(kind, &one.name));
    let alone = alone.unwrap_or_default().to_owned();
    let mut parts = BTreeMap::<String, Received>::new();
    let (mut listeners, mut connections) = (Resources::new(), Resources::new());
    for (kind, received) in resources {
        let body = received.resource.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        let (name, version) = (received.name.clone(), received.version.clone());
        let mut resource = match kind {
            Kind::Filter => Resource::of_filter(name.clone(), version.clone(), neutral(body)),
            _ => Resource::new(kind, name.clone(), version.clone(), body.to_vec()),
        };
        let owner = owner(kind, &name).unwrap_or(&alone).to_owned();
        match (kind, owner.strip_suffix(CONNECTIONS)) {
            (Kind::Listeners, _) => {
                resource.listener = Some(split(&name, &version, body)?);
                listeners.insert(name, Arc::new(resource));
            }
            (Kind::Filter, Some(prefix)) => {
                connections.insert(prefix.to_owned(), Arc::new(resource));
            }
            _ => parts.entry(owner).or_default().take(kind, resource),
        }
    }
    let parts = parts.into_iter().map(|(name, received)| (name, Arc::new(received.part())));
    let all = Listeners { all: listeners, connections };
    let listeners = (!all.all.is_empty()).then(|| Arc::new(all));
    Some(Snapshot { parts: parts.collect(), listeners, ..Snapshot::default() })
}

impl Received {
    fn take(&mut self, kind: Kind, resource: Resource) {
        let all = match kind {
            Kind::Clusters => &mut self.clusters,
            Kind::Secrets => &mut self.secrets,
            Kind::Filter | Kind::Listeners => &mut self.filter,
            Kind::Endpoints => {
                let endpoints = endpoints_of(&resource.version).unwrap_or_default();
                self.endpoints.insert(resource.name.clone(), endpoints);
                return self.encoded.push(resource);
            }
        };
        all.insert(resource.name.clone(), Arc::new(resource));
    }

    fn part(self) -> Part {
        let part = Part::new([self.clusters, self.secrets, self.filter], self.endpoints);
        self.encoded.into_iter().for_each(|endpoints| part.keep(endpoints));
        part
    }
}

/// Returns a filter with the generation that all have before they are pushed.
fn neutral(filter: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"\"generation\":";
    let mut filter = filter.to_vec();
    let field = filter.windows(FIELD.len()).position(|window| window == FIELD);
    let digits = field.and_then(|at| filter.get_mut(at + FIELD.len()..));
    let neutral = GENERATION.to_string();
    // As many digits, or the length of the message would change.
    match digits.and_then(|digits| digits.get_mut(..neutral.len())) {
        Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
            digits.copy_from_slice(neutral.as_bytes());
        }
        _ => {}
    }
    filter
}

/// Splits a listener into its base and the chains of control planes: each chain has the name of its
/// control plane.
fn split(name: &str, version: &str, body: &[u8]) -> Option<Listener> {
    let mut base = listener::Listener::decode(body).ok()?;
    let chains = std::mem::take(&mut base.filter_chains);
    let encoded =
        |message: Vec<u8>| Encoded { body: Bytes::from(message), version: version.into() };
    let chain = |chain: &listener::FilterChain| {
        let made = Chain { chain: encoded(chain.encode_to_vec()), connections: None };
        (chain.name.clone(), made)
    };
    let chains = chains.iter().map(chain).collect();
    Some(Listener { name: name.to_owned(), base: encoded(base.encode_to_vec()), chains })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::Any;

    use super::*;

    fn received(kind: Kind, name: &str, version: &str, value: Vec<u8>) -> (Kind, pb::Resource) {
        let any = Any { type_url: kind.url().to_owned(), value };
        let (name, version) = (name.to_owned(), version.to_owned());
        (kind, pb::Resource { name, version, resource: Some(any), ..pb::Resource::default() })
    }

    #[test]
    fn what_was_received_of_many_control_planes_is_served_in_their_parts() {
        let chain = listener::FilterChain { name: "b".into(), ..Default::default() };
        let body = listener::Listener { filter_chains: vec![chain], ..Default::default() };
        let map = |generation: u64| format!("{{\"generation\":{generation}}}").into_bytes();
        let all = [
            received(Kind::Clusters, "a", "1", vec![]),
            received(Kind::Clusters, "b__rotation", "1", vec![]),
            received(Kind::Endpoints, "b__rotation", "10.0.0.1:1", vec![1]),
            received(Kind::Secrets, "b/peer-ca-1", "1", vec![]),
            received(Kind::Filter, "mixed-version-proxy/b", "1", map(1_790_000_000_000_000)),
            received(Kind::Filter, "mixed-version-proxy/b/connections", "7", vec![2]),
            received(Kind::Listeners, "kubernetes", "5", body.encode_to_vec()),
        ];
        let snapshot = snapshot(all.iter().map(|(kind, one)| (*kind, one))).unwrap();
        assert_eq!(snapshot.parts.keys().collect::<Vec<_>>(), ["a", "b"]);
        let part = &snapshot.parts["b"];
        assert_eq!(part.clusters.keys().collect::<Vec<_>>(), ["b__rotation"]);
        assert_eq!(part.secrets.keys().collect::<Vec<_>>(), ["b/peer-ca-1"]);
        let endpoints = &part.endpoints["b__rotation"];
        let encoded = part.encode("b__rotation", endpoints).unwrap();
        let sent = pb::DeltaDiscoveryResponse::decode(&*encoded.delta(0).concat()).unwrap();
        assert_eq!(sent.resources[0].resource.as_ref().unwrap().value, [1], "as it was received");
        // Each push has a generation of its own.
        let filter = &part.filter["mixed-version-proxy/b"];
        let sent = filter.delta(1_800_000_000_000_000).concat();
        let sent = pb::DeltaDiscoveryResponse::decode(&*sent).unwrap();
        assert_eq!(sent.resources[0].resource.as_ref().unwrap().value, map(1_800_000_000_000_000));
        let listeners = snapshot.listeners.unwrap();
        assert_eq!(listeners.connections["b"].version, "7");
        let kubernetes = listeners.all["kubernetes"].listener.as_ref().unwrap();
        assert_eq!(kubernetes.chains.keys().collect::<Vec<_>>(), ["b"]);
    }
}
