//! The name of a serving set's cluster.
//!
//! It is a header value, a file name and a part of Envoy's statistics names, so
//! it has only letters, digits, `-` and `_`. `_` is a safe separator: neither a
//! peer's name nor the prefix can contain it. The name depends only on the peers'
//! names: a set that comes back finds its cluster and connections again.

use crate::config::{ClusterPrefix, PeerName};

/// A longer name has a hash in place of the peers' names.
const MAX_LENGTH: usize = 100;

/// Returns the cluster of the local peer alone. No cluster of a set has two separators before letters.
pub fn local_cluster(prefix: &str) -> String {
    format!("{prefix}__local")
}

/// Returns the cluster of these peers, whatever their order.
pub fn cluster_name(prefix: &ClusterPrefix, peers: &[&PeerName]) -> String {
    let mut peers: Vec<&str> = peers.iter().map(|peer| peer.as_str()).collect();
    peers.sort_unstable();
    let readable = format!("{prefix}_{}", peers.join("_"));
    if readable.len() <= MAX_LENGTH {
        return readable;
    }
    // Two separators in a row: no short name has those.
    format!("{prefix}__{}-peers-{:016x}", peers.len(), fnv1a(peers.join("_").as_bytes()))
}

/// Hashes by FNV-1a, which is equal in every build and on every machine; the
/// standard library's hash does not promise that. Another hash would rename the
/// clusters of large control planes, and operators have those names in dashboards.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(peers: &[&str]) -> String {
        let peers: Vec<PeerName> = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        cluster_name(&"kube-apiserver".parse().unwrap(), &peers.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_short_name_lists_the_peers_whatever_their_order() {
        assert_eq!(name(&["cp-2", "cp-1"]), "kube-apiserver_cp-1_cp-2");
    }

    #[test]
    fn a_long_name_has_a_hash_and_stays_within_the_bound() {
        let long = "a".repeat(60);
        let first = name(&[&long, "b"]);
        let second = name(&[&long, &format!("c{long}")]);
        assert!(first.len() <= MAX_LENGTH);
        assert!(second.len() <= MAX_LENGTH && second.starts_with("kube-apiserver__2-peers-"));
        assert_ne!(second, name(&[&long, &format!("d{long}")]));
    }

    #[test]
    fn the_hash_is_the_published_algorithm() {
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
