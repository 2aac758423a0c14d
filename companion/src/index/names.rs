//! The name of a serving set's cluster.
//!
//! It is a header value, a file name and a part of Envoy's statistics names,
//! so it has letters, digits, `-` and `_` only; `_` cannot be in a peer's name
//! or the prefix and so separates without doubt. It depends on nothing but the
//! names: a set that comes back finds its cluster and connections again.

use crate::config::{ClusterPrefix, PeerName};

/// Above this the name has a hash of the peers' names in their place.
const MAX_LENGTH: usize = 100;

/// The cluster of these peers, in the order of their names.
#[must_use]
pub fn cluster_name(prefix: &ClusterPrefix, peers: &[&PeerName]) -> String {
    let mut peers: Vec<&str> = peers.iter().map(|peer| peer.as_str()).collect();
    peers.sort_unstable();
    let readable = format!("{prefix}_{}", peers.join("_"));
    if readable.len() <= MAX_LENGTH {
        return readable;
    }
    // Two separators in a row: no peer is called so.
    format!("{prefix}__{}-peers-{:016x}", peers.len(), fnv1a(peers.join("_").as_bytes()))
}

/// FNV-1a: equal in every build and on every machine, which the standard
/// library's hash does not promise.
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
    fn a_short_name_is_readable_whatever_the_order() {
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
    fn the_hash_is_that_of_the_published_algorithm() {
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
