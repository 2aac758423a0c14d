//! Everything that an Envoy shall have. Never changed: the next one replaces it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::kind::Kind;
use super::resource::{Resource, version_of};
use crate::endpoints::{Addresses, Endpoints};
use crate::xds::{self, EncodeError};

/// Resources by their names.
pub type Resources = BTreeMap<String, Arc<Resource>>;

/// How many encodings of endpoints are kept. Envoys that have the same before get the same.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub struct Snapshot {
    pub clusters: Resources,
    /// The authorities that the clusters name. Never a private key.
    pub secrets: Resources,
    pub filter: Resources,
    /// The endpoints of each cluster.
    pub endpoints: Addresses,
    encoded: Mutex<BTreeMap<(String, String), Arc<Resource>>>,
}

impl Snapshot {
    pub fn new([clusters, secrets, filter]: [Resources; 3], endpoints: Addresses) -> Self {
        Self { clusters, secrets, filter, endpoints, encoded: Mutex::default() }
    }

    /// Returns whether an Envoy would get the same from the other one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.clusters == other.clusters
            && self.secrets == other.secrets
            && self.filter == other.filter
            && self.endpoints == other.endpoints
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
