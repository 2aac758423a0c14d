//! What a sink carries out, and the resources that it tells apart by name.

use std::collections::BTreeSet;

use crate::endpoints::Addresses;
use crate::xds::{Cluster, FilterConfig, Secret};

/// Resources of one type, in any order among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds or replaces secrets.
    Secrets(Vec<Secret>),
    /// Adds or replaces the endpoints of clusters.
    Endpoints(Addresses),
    /// Replaces all clusters. The version is the generation in which they changed last.
    Clusters { version: u64, clusters: Vec<Cluster> },
    /// Replaces the filter's configuration. The version is the generation of the map.
    Filter { version: u64, filter: FilterConfig },
    /// Removes what nothing names any more.
    Remove(BTreeSet<Name>),
}

/// The name of a resource that exists on its own, and is removed by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Endpoints(String),
    Secret(String),
}
