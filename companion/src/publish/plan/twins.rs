//! The twin of a cluster: the same peers, over connections that present the front-proxy
//! certificate.

use discovery_map::{FRONT_PROXY_SUFFIX, MapDocument};

use crate::index::Snapshot;
use crate::state::Addresses;

/// Returns the map of a snapshot, and the clusters that it names. They have twins if there is a
/// front proxy and its certificate; else the map says that there is none.
pub fn with_twins(snapshot: &Snapshot, certificate: bool) -> (MapDocument, Addresses) {
    let mut document = snapshot.document.clone();
    document.identity.front_proxy &= certificate;
    let mut clusters = Addresses::new();
    for cluster in &snapshot.clusters {
        if document.identity.front_proxy {
            let twin = format!("{}{FRONT_PROXY_SUFFIX}", cluster.name);
            clusters.insert(twin, cluster.endpoints.clone());
        }
        clusters.insert(cluster.name.clone(), cluster.endpoints.clone());
    }
    (document, clusters)
}

/// Returns whether a cluster is a twin.
pub fn is_twin(cluster: &str) -> bool {
    cluster.ends_with(FRONT_PROXY_SUFFIX)
}
