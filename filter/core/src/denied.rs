//! The servers that denied a request. Their addresses are kept with its stream, where
//! each of its attempts finds them.

use discovery_map::{FRONT_PROXY_SUFFIX, ROTATION_SUFFIX};
use routing::interest::SEPARATOR;

/// Stands before the address of a server that denied the request in the rotation
/// cluster.
const IN_ROTATION: u8 = b'*';

/// The servers that denied one request, as they are kept with its stream.
#[derive(Debug)]
pub(crate) struct Denied {
    bytes: Vec<u8>,
    is_exhausted: bool,
}

impl Denied {
    /// Adds a server to those that were kept. The proxy chooses a server again in one
    /// cluster only if there is no other (`previous_hosts`). So when a server denies
    /// twice in the rotation cluster, the proxy has tried the whole rotation. Before, it
    /// may have denied in the cluster of a set too.
    pub(crate) fn with(kept: Option<Vec<u8>>, server: &[u8], cluster: &[u8]) -> Self {
        let mut bytes = kept.unwrap_or_default();
        let mut entry = server.to_vec();
        let is_in_rotation = is_of_rotation(cluster);
        if is_in_rotation {
            entry.insert(0, IN_ROTATION);
        }
        let is_exhausted = is_in_rotation && entries(&bytes).any(|known| known == entry);
        if !bytes.is_empty() {
            bytes.push(SEPARATOR);
        }
        bytes.extend_from_slice(&entry);
        Self { bytes, is_exhausted }
    }

    /// Returns whether the proxy has tried every server of the rotation.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Returns whether the map lists the type. A request for any other type begins in
    /// the rotation cluster.
    pub(crate) fn is_of_a_listed_type(&self) -> bool {
        !self.bytes.starts_with(&[IN_ROTATION])
    }

    /// Returns what is kept with the stream.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether this server denied the request, in any cluster.
    pub(crate) fn has(&self, server: &[u8]) -> bool {
        entries(&self.bytes)
            .any(|entry| entry.strip_prefix(&[IN_ROTATION]).unwrap_or(entry) == server)
    }
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == SEPARATOR)
}

/// Returns whether this is the rotation cluster or its twin.
fn is_of_rotation(cluster: &[u8]) -> bool {
    let base = cluster.strip_suffix(FRONT_PROXY_SUFFIX.as_bytes()).unwrap_or(cluster);
    base.ends_with(ROTATION_SUFFIX.as_bytes())
}
