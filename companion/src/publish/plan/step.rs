//! What a plan is made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use discovery_map::MapDocument;

use super::name::Name;
use super::retirement::Retirement;
use crate::config::Config;
use crate::state::Addresses;
use crate::xds::{Cluster, Filter, Secret};

/// The way from what is published to what shall be.
#[derive(Debug)]
pub struct Plan {
    /// The steps. Each relies on those before it, and only on those.
    pub steps: Vec<Step>,
    /// The new map, if there is one.
    pub map: Option<NewMap>,
    /// What is retired from then on.
    pub retired: Retirement,
}

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
    Filter { version: u64, filter: Filter },
    /// Removes what nothing names any more.
    Remove(BTreeSet<Name>),
}

/// A map, and what it was made with.
#[derive(Clone, Debug)]
pub struct NewMap {
    /// The map, with its generation.
    pub document: Arc<MapDocument>,
    /// How many targets some peers serve and others do not.
    pub skewed_targets: usize,
    /// Every cluster that the map names.
    pub clusters: Addresses,
    pub config: Arc<Config>,
}
