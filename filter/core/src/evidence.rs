//! What proves a type-level 404: the servers that must all have denied the request.
//!
//! The VM with the map writes it, and the VM that judges attempts reads it.

use discovery_map::DiscoveryMap;
use routing::interest::SEPARATOR;

use crate::denied::Denied;

/// What a map says about type-level 404s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence<'e> {
    pub(crate) generation: u64,
    /// Whether a type that no server in rotation knows does not exist.
    pub(crate) suffices: bool,
    /// The addresses of the servers in rotation.
    servers: Vec<&'e [u8]>,
}

const SUFFICES: &[u8] = b"suffices";

impl<'e> Evidence<'e> {
    /// Returns the evidence of a map, as VMs share it.
    pub(crate) fn to_bytes(map: &DiscoveryMap) -> Vec<u8> {
        let generation = map.generation.to_string();
        // A server that is gone may have known a type that the others do not know
        // yet.
        let suffices = map.complete && !map.just_left;
        let mut fields = vec![generation.as_bytes(), if suffices { SUFFICES } else { b"" }];
        fields.extend(map.rotation.iter().map(String::as_bytes));
        fields.join(&SEPARATOR)
    }

    /// Reads what a VM has shared. `None` if it is not evidence.
    pub(crate) fn parse(bytes: &'e [u8]) -> Option<Self> {
        let mut fields = bytes.split(|&byte| byte == SEPARATOR);
        let generation = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let suffices = fields.next()? == SUFFICES;
        Some(Self { generation, suffices, servers: fields.collect() })
    }

    /// Returns whether these are all servers in rotation. `false` if the rotation
    /// is not known.
    pub(crate) fn is_complete(&self, denied: &Denied) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|server| denied.has(server))
    }

    /// Returns whether there is a server to ask.
    pub(crate) fn has_servers(&self) -> bool {
        !self.servers.is_empty()
    }
}
