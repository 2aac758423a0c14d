//! Compares what an Envoy says that it has with what this server has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3 as pb;

use super::kind::{Kind, WILDCARD};
use super::resource::version_of;
use super::snapshot::{Resources, Snapshot};
use super::version::version_of_all;

/// Returns whether an Envoy that sends this would lose nothing by what this server has: it has
/// nothing yet, or the same. Only the first request of each type says what it has.
pub fn is_of_delta(request: &pb::DeltaDiscoveryRequest, snapshot: &Snapshot) -> bool {
    let told = &request.initial_resource_versions;
    let Some(kind) = Kind::of_url(&request.type_url).filter(|_| !told.is_empty()) else {
        return true;
    };
    let versions = versions(snapshot, kind);
    told.iter().all(|(name, version)| versions.get(name).is_some_and(|own| own == version))
}

/// Returns the same for the older form, which has one version for everything that was asked for.
pub fn is_of_whole(request: &pb::DiscoveryRequest, snapshot: &Snapshot) -> bool {
    let told = &request.version_info;
    // An answer to a push, which is this server's, has a nonce.
    let is_told = !told.is_empty() && request.response_nonce.is_empty();
    let Some(kind) = Kind::of_url(&request.type_url).filter(|_| is_told) else { return true };
    let names: BTreeSet<_> = request.resource_names.iter().map(String::as_str).collect();
    let all = names.contains(WILDCARD) || (names.is_empty() && kind.is_for_all());
    let versions = versions(snapshot, kind);
    let asked = versions.iter().filter(|(name, _)| all || names.contains(name.as_str()));
    *told == version_of_all(asked.map(|(name, version)| (name.as_str(), &**version)))
}

/// Returns the version of each resource of a type.
fn versions(snapshot: &Snapshot, kind: Kind) -> BTreeMap<&String, Cow<'_, str>> {
    let listeners = snapshot.listeners.as_deref();
    let own = |all| versions_of(all);
    let parts = snapshot.parts.values();
    match kind {
        Kind::Clusters => parts.flat_map(|part| own(&part.clusters)).collect(),
        Kind::Secrets => parts.flat_map(|part| own(&part.secrets)).collect(),
        Kind::Listeners => listeners.into_iter().flat_map(|all| own(&all.all)).collect(),
        Kind::Filter => {
            let connections = listeners.into_iter().flat_map(|all| all.connections.values());
            let connections = connections.map(|one| (&one.name, one.version.as_str().into()));
            parts.flat_map(|part| own(&part.filter)).chain(connections).collect()
        }
        Kind::Endpoints => {
            let endpoints = parts.flat_map(|part| &part.endpoints);
            endpoints.map(|(name, all)| (name, version_of(all).into())).collect()
        }
    }
}

fn versions_of(all: &Resources) -> impl Iterator<Item = (&String, Cow<'_, str>)> {
    all.values().map(|resource| (&resource.name, resource.version.as_str().into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ads::resource::Resource;
    use crate::ads::snapshot::{Listeners, Part};
    use crate::endpoints::{Addresses, Endpoints};

    fn resources(kind: Kind, names: &[&str]) -> Resources {
        let resource = |name: &&str| {
            let resource = Resource::new(kind, (*name).to_owned(), format!("{name}-1"), vec![]);
            ((*name).to_owned(), Arc::new(resource))
        };
        names.iter().map(resource).collect()
    }

    fn snapshot() -> Snapshot {
        let clusters = resources(Kind::Clusters, &["a", "b"]);
        let secrets = resources(Kind::Secrets, &["ca"]);
        let filter = resources(Kind::Filter, &["map"]);
        let at = |port| Endpoints::of_levels([vec![([10, 0, 0, 1], port).into()]]);
        let endpoints = Addresses::from([("a".to_owned(), at(1)), ("b".to_owned(), at(2))]);
        let part = Part::new([clusters, secrets, filter], endpoints);
        let all = resources(Kind::Listeners, &["listener"]);
        let connections = resources(Kind::Filter, &["connections"]);
        let listeners = Some(Arc::new(Listeners { all, connections }));
        let parts = BTreeMap::from([("a".to_owned(), Arc::new(part))]);
        Snapshot { parts, listeners, ..Snapshot::default() }
    }

    fn delta(kind: Kind, told: &[(&str, &str)]) -> bool {
        let text = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
        let request = pb::DeltaDiscoveryRequest {
            type_url: kind.url().to_owned(),
            initial_resource_versions: told.iter().map(text).collect(),
            ..pb::DeltaDiscoveryRequest::default()
        };
        is_of_delta(&request, &snapshot())
    }

    fn whole(kind: Kind, version: &str, names: &[&str], nonce: &str) -> bool {
        let request = pb::DiscoveryRequest {
            type_url: kind.url().to_owned(),
            version_info: version.to_owned(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            response_nonce: nonce.to_owned(),
            ..pb::DiscoveryRequest::default()
        };
        is_of_whole(&request, &snapshot())
    }

    #[test]
    fn an_envoy_that_has_nothing_or_the_same_loses_nothing() {
        for kind in Kind::ALL {
            assert!(delta(kind, &[]));
            assert!(whole(kind, "", &["a"], ""));
        }
        for (kind, name, version) in [
            (Kind::Clusters, "b", "b-1"),
            (Kind::Endpoints, "b", "10.0.0.1:2"),
            (Kind::Secrets, "ca", "ca-1"),
            (Kind::Listeners, "listener", "listener-1"),
            (Kind::Filter, "map", "map-1"),
            (Kind::Filter, "connections", "connections-1"),
        ] {
            assert!(delta(kind, &[(name, version)]), "{name}");
            assert!(whole(kind, version, &[name], ""), "{name}");
            for (name, version) in [(name, "2"), ("another", version)] {
                assert!(!delta(kind, &[(name, version)]), "{name} {version}");
                assert!(!whole(kind, version, &[name], ""), "{name} {version}");
            }
        }
        assert!(delta(Kind::Clusters, &[("a", "a-1"), ("b", "b-1")]));
        assert!(!delta(Kind::Clusters, &[("a", "a-1"), ("b", "b-2")]));
    }

    #[test]
    fn one_version_stands_for_everything_that_is_asked_for() {
        let both = version_of_all([("a", "a-1"), ("b", "b-1")].into_iter());
        for names in [&[][..], &["*"], &["a", "b"], &["a", "b", "c"]] {
            assert!(whole(Kind::Clusters, &both, names, ""), "{names:?}");
        }
        assert!(!whole(Kind::Clusters, &both, &["a"], ""));
        assert!(!whole(Kind::Clusters, "2", &[], ""));
        assert!(whole(Kind::Clusters, "2", &[], "1"), "an answer to a push");
    }
}
