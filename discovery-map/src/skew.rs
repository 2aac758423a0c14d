//! Kubernetes' version skew policy: a component is answered by no server that is older than itself
//! (<https://kubernetes.io/releases/version-skew-policy/>).
//!
//! For each serving set, the map names the cluster for components of each version. It says
//! nothing about components while all known peers have one version, which is nearly always.
//!
//! ```text
//!  sets: [a 1.36, b 1.37]  at_least: 1.36 → kube-apiserver           every peer will do
//!                                    1.37 → kube-apiserver__from-1-37  b before a
//!                                    (1.38: no peer will do)
//! ```

use std::collections::BTreeMap;

use crate::map::{AtLeast, Destination, DiscoveryMap};
use crate::map_document::{PeerEntry, PeerState, SetEntry};
use crate::minor_version::MinorVersion;

/// What stands between a cluster's name and a version, in the name of its cluster for components of this
/// version.
pub const AT_LEAST_INFIX: &str = "__from-";

/// Returns the name of the cluster of a set's peers, those first that serve at least this version.
#[must_use]
pub fn at_least_cluster(cluster: &str, version: MinorVersion) -> String {
    let (major, minor) = version.numbers();
    format!("{cluster}{AT_LEAST_INFIX}{major}-{minor}")
}

/// Returns what the map says of a set of peers in rotation: the cluster for each of their versions.
/// `cluster` is the set's own. A peer of unknown version is older than every component.
pub fn at_least(
    cluster: &str,
    versions: impl IntoIterator<Item = Option<MinorVersion>>,
) -> BTreeMap<MinorVersion, String> {
    let versions: Vec<_> = versions.into_iter().collect();
    let oldest = versions.iter().min().copied().flatten();
    let name = |version| match oldest {
        Some(oldest) if oldest == version => cluster.to_owned(),
        _ => at_least_cluster(cluster, version),
    };
    versions.iter().copied().flatten().map(|version| (version, name(version))).collect()
}

/// Returns the same of all peers in rotation on one level, given that of the default cluster.
pub(crate) fn in_rotation(
    default: &SetEntry,
    default_cluster: &str,
    rotation_cluster: &str,
) -> Vec<AtLeast> {
    let of = |(version, cluster): (&MinorVersion, &String)| {
        let is_whole = cluster == default_cluster;
        let whole = || rotation_cluster.to_owned();
        let part = || at_least_cluster(rotation_cluster, *version);
        (*version, if is_whole { whole() } else { part() })
    };
    default.at_least.iter().map(of).collect()
}

impl DiscoveryMap {
    /// Returns whether the version of a component that sends a request can matter.
    #[must_use]
    #[inline]
    pub fn versions_differ(&self) -> bool {
        !self.rotation_at_least.is_empty()
    }

    /// Returns where a request goes instead of `destination`, so that no peer answers it that is older
    /// than this; `None` if all of its peers are. If every peer will do, that is `destination`.
    #[must_use]
    pub fn at_least<'m>(
        &'m self,
        destination: Destination<'m>,
        version: MinorVersion,
    ) -> Option<Destination<'m>> {
        let cluster = if destination == Destination::Cluster(&self.rotation_cluster) {
            let mut of_rotation = self.rotation_at_least.iter();
            &of_rotation.find(|(least, _)| *least >= version)?.1
        } else {
            let set = self.sets.get(usize::from(self.set_of(destination)?))?;
            set.at_least.range(version..).next()?.1
        };
        Some(self.named(cluster))
    }

    /// Returns the peers of a set in rotation that serve at least this version.
    pub fn peers_at_least(
        &self,
        set: u16,
        version: MinorVersion,
    ) -> impl Iterator<Item = &PeerEntry> {
        self.peers_of(set).filter(move |peer| {
            peer.state == PeerState::Serving && peer.version.is_some_and(|own| own >= version)
        })
    }
}

#[cfg(test)]
mod tests;
