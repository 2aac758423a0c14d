//! The endpoints of a cluster, in the order in which they answer: plain data.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Endpoints in levels: those of a level answer while none of an earlier level can. Never an empty
/// level; every level is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(Vec<Vec<SocketAddr>>);

/// The endpoints of clusters, by the cluster's name.
pub type Addresses = BTreeMap<String, Endpoints>;

impl Endpoints {
    /// Returns endpoints in these levels.
    pub fn of_levels(levels: impl IntoIterator<Item = Vec<SocketAddr>>) -> Self {
        let levels = levels.into_iter().filter(|level| !level.is_empty());
        Self(levels.map(sorted).collect())
    }

    /// Returns the levels, the one that answers first.
    pub fn levels(&self) -> &[Vec<SocketAddr>] {
        &self.0
    }

    /// Returns all endpoints, level by level.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().flatten().copied()
    }

    /// Returns whether this is one of them.
    pub fn contains(&self, address: SocketAddr) -> bool {
        self.all().any(|other| other == address)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those of them that are wanted, on their levels.
    pub fn filter(&self, wanted: impl Fn(SocketAddr) -> bool) -> Self {
        let level = |level: &Vec<SocketAddr>| {
            level.iter().copied().filter(|address| wanted(*address)).collect()
        };
        Self::of_levels(self.0.iter().map(level))
    }
}

/// Collects endpoints on one level.
impl FromIterator<SocketAddr> for Endpoints {
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(addresses: I) -> Self {
        Self::of_levels([addresses.into_iter().collect()])
    }
}

fn sorted(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
