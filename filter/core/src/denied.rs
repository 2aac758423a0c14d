//! The servers that denied a request. Their addresses are kept with its stream, where
//! each of its attempts finds them.

use discovery_map::{AT_LEAST_INFIX, FRONT_PROXY_SUFFIX, ROTATION_SUFFIX};
use routing::interest::SEPARATOR;

/// Stands before the address of a server that denied the request in the rotation
/// cluster.
const IN_ROTATION: u8 = b'*';

/// Stands before the address of a server that denied the request in the rotation cluster for
/// components of some version, which has servers of this version first.
const IN_PART: u8 = b'~';

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
        let mark = mark(cluster);
        if let Some(mark) = mark {
            entry.insert(0, mark);
        }
        let is_in_rotation = mark == Some(IN_ROTATION);
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
    /// the rotation cluster, or in that for components.
    pub(crate) fn is_of_a_listed_type(&self) -> bool {
        !matches!(self.bytes.first(), Some(&(IN_ROTATION | IN_PART)))
    }

    /// Returns what is kept with the stream.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether this server denied the request, in any cluster.
    pub(crate) fn has(&self, server: &[u8]) -> bool {
        entries(&self.bytes).any(|entry| match entry {
            [IN_ROTATION | IN_PART, address @ ..] => address == server,
            address => address == server,
        })
    }
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == SEPARATOR)
}

/// Returns what stands before the address of a server of this cluster: if it is the rotation cluster, or
/// that for components, or the twin of one of them.
fn mark(cluster: &[u8]) -> Option<u8> {
    let base = cluster.strip_suffix(FRONT_PROXY_SUFFIX.as_bytes()).unwrap_or(cluster);
    if base.ends_with(ROTATION_SUFFIX.as_bytes()) {
        return Some(IN_ROTATION);
    }
    let part = [ROTATION_SUFFIX, AT_LEAST_INFIX].concat();
    base.windows(part.len()).any(|window| window == part.as_bytes()).then_some(IN_PART)
}
