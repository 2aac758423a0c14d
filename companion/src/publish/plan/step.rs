//! What a plan is made of, and what it starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use discovery_map::MapDocument;

use crate::config::Config;
use crate::xds::{Cluster, Endpoints, Filter, Secret};

/// The way from what is published to what shall be.
#[derive(Debug)]
pub struct Plan {
    /// The steps. Each may rely on those before it, and only on those.
    pub steps: Vec<Step>,
    /// The new map, if there is one.
    pub map: Option<NewMap>,
}

/// Resources of one type that can be carried in any order among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds or replaces secrets.
    Secrets(Vec<Secret>),
    /// Adds or replaces the endpoints of clusters.
    Endpoints(Vec<Endpoints>),
    /// Replaces all clusters.
    Clusters {
        /// The generation in which the clusters changed last.
        version: u64,
        /// All clusters, sorted by name.
        clusters: Vec<Cluster>,
    },
    /// Replaces the filter's configuration.
    Filter {
        /// The generation of the map.
        version: u64,
        /// The filter with the map.
        filter: Filter,
    },
    /// Removes the endpoints of clusters that do not exist any more.
    RemoveEndpoints(Vec<String>),
    /// Removes secrets that no cluster names any more.
    RemoveSecrets(Vec<String>),
}

/// A map, and what it was made for.
#[derive(Clone, Debug)]
pub struct NewMap {
    /// The map, with its generation.
    pub document: Arc<MapDocument>,
    /// How many targets some peers serve and others do not.
    pub skewed_targets: usize,
    /// The endpoints of every cluster that the map names.
    pub clusters: Addresses,
    /// The configuration that the filter and the clusters were made with.
    pub config: Arc<Config>,
}

/// The endpoints of clusters, by the cluster's name.
pub type Addresses = BTreeMap<String, Vec<SocketAddr>>;

/// The names of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Clusters that have endpoints.
    pub clusters: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}
