//! Everything that Envoys must have. A snapshot never changes: the next one replaces it.
//!
//! Each control plane has a part, which is published on its own. Listeners belong to all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::kind::{ByKind, Kind};
use super::resource::{Resource, version_of};
use super::version::{version_of_all, version_of_parts};
use crate::config::ClusterPrefix;
use crate::endpoints::{Addresses, Endpoints};
use crate::xds::{self, EncodeError};

/// Resources by their names.
pub type Resources = BTreeMap<String, Arc<Resource>>;

/// How many encodings of endpoints are kept. Envoys that have the same before get the same.
const KEPT: usize = 1024;

/// What all Envoys must have.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The parts of the control planes that have a map, by the prefix of their clusters.
    pub parts: BTreeMap<String, Arc<Part>>,
    /// The control planes that exist and have no map yet. What an Envoy has of them stays.
    pub awaited: BTreeSet<String>,
    /// The listeners. `None` as long as it is not known which there are, and if nobody makes any.
    pub listeners: Option<Arc<Listeners>>,
    /// As long as it is not known: what is known already.
    pub early: Option<Early>,
}

/// The listeners that are known of some control planes, while they are not of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    pub listeners: Arc<Listeners>,
    /// The control planes that may get a filter chain yet.
    pub without: Arc<BTreeSet<String>>,
}

/// The listeners, and what their filter chains ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    pub all: Resources,
    /// The connection managers, by the prefix of the control plane's clusters.
    pub connections: Resources,
}

/// What an Envoy must have of one control plane.
#[derive(Debug, Default)]
pub struct Part {
    pub clusters: Resources,
    /// The authorities that clusters and listeners name. Never a private key.
    pub secrets: Resources,
    pub filter: Resources,
    /// The endpoints of each cluster.
    pub endpoints: Addresses,
    encoded: Mutex<BTreeMap<(String, String), Arc<Resource>>>,
    versions: OnceLock<ByKind<Option<String>>>,
}

impl Snapshot {
    /// Returns the control planes that exist.
    pub fn known(&self) -> impl Iterator<Item = &String> {
        self.parts.keys().chain(&self.awaited)
    }

    /// Returns the listeners of an Envoy that gets only these control planes. `None` as long as it is
    /// not known which filter chains these have.
    pub fn listeners_of(&self, names: &BTreeSet<ClusterPrefix>) -> Option<&Arc<Listeners>> {
        let is_known =
            |early: &&Early| !names.iter().any(|name| early.without.contains(name.as_str()));
        let early = || self.early.as_ref().filter(is_known).map(|early| &early.listeners);
        self.listeners.as_ref().or_else(early)
    }

    /// Returns the versions of all resources, by the name of the type.
    pub fn versions(&self) -> BTreeMap<&'static str, String> {
        let version = |kind: Kind| Some((kind.as_str(), self.version(kind)?));
        Kind::ALL.into_iter().filter_map(version).collect()
    }

    /// Returns the version of all resources of a type. `None` if there are none.
    fn version(&self, kind: Kind) -> Option<String> {
        if kind == Kind::Listeners {
            return self.listeners.as_ref().map(|listeners| version_of_resources(&listeners.all));
        }
        let parts = self.parts.iter();
        let versions =
            parts.filter_map(|(prefix, part)| Some((prefix.as_str(), part.version(kind)?)));
        let mut versions: BTreeMap<_, _> = versions.collect();
        let connections = self.listeners.iter().flat_map(|listeners| &listeners.connections);
        if kind == Kind::Filter {
            // By the names of their lanes, as sessions have them.
            let connections = connections.filter_map(|(_, one)| {
                let lane = one.name.strip_prefix(xds::FILTER_NAME)?.strip_prefix('/')?;
                Some((lane, one.version.as_str()))
            });
            versions.extend(connections);
        }
        version_of_parts(&versions)
    }
}

impl Part {
    /// Returns a part with these clusters, secrets and filter, and the endpoints of the clusters.
    pub fn new([clusters, secrets, filter]: [Resources; 3], endpoints: Addresses) -> Self {
        Self { clusters, secrets, filter, endpoints, ..Self::default() }
    }

    /// Returns whether an Envoy would get the same from the other one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.clusters == other.clusters
            && self.secrets == other.secrets
            && self.filter == other.filter
            && self.endpoints == other.endpoints
    }

    /// Returns whether it is the only one: then its filter has a name without a control plane, and
    /// listeners that are not served over ADS may have it.
    pub fn is_alone(&self) -> bool {
        self.filter.contains_key(xds::FILTER_NAME)
    }

    /// Returns the version of all its resources of a type. `None` if it has none.
    fn version(&self, kind: Kind) -> Option<&str> {
        let some = |all: &Resources| (!all.is_empty()).then(|| version_of_resources(all));
        let versions = self.versions.get_or_init(|| {
            let endpoints: Vec<_> =
                self.endpoints.iter().map(|(name, all)| (name.as_str(), version_of(all))).collect();
            ByKind::of(|kind| match kind {
                Kind::Clusters => some(&self.clusters),
                Kind::Secrets => some(&self.secrets),
                Kind::Filter => some(&self.filter),
                Kind::Endpoints => (!endpoints.is_empty()).then(|| {
                    version_of_all(
                        endpoints.iter().map(|(name, version)| (*name, version.as_str())),
                    )
                }),
                Kind::Listeners => None,
            })
        });
        versions.get(kind).as_deref()
    }

    /// Returns these endpoints of a cluster as a resource. It is encoded once for all Envoys.
    pub fn encode(
        &self,
        cluster: &str,
        endpoints: &Endpoints,
    ) -> Result<Arc<Resource>, EncodeError> {
        let key = (cluster.to_owned(), version_of(endpoints));
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resource) = encoded.get(&key) {
            return Ok(Arc::clone(resource));
        }
        let body = xds::encode(xds::endpoints(cluster, endpoints))?;
        let (name, version) = key.clone();
        let resource = Arc::new(Resource::new(Kind::Endpoints, name, version, body));
        if encoded.len() < KEPT {
            encoded.insert(key, Arc::clone(&resource));
        }
        Ok(resource)
    }
}

impl Part {
    /// Keeps endpoints as they were received.
    pub fn keep(&self, endpoints: Resource) {
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if encoded.len() < KEPT {
            let key = (endpoints.name.clone(), endpoints.version.clone());
            encoded.insert(key, Arc::new(endpoints));
        }
    }
}

fn version_of_resources(all: &Resources) -> String {
    version_of_all(all.iter().map(|(name, resource)| (name.as_str(), resource.version.as_str())))
}
