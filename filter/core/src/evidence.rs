//! What proves a type-level 404: the servers that must all have denied the request.
//!
//! The VM with the map writes it, and the VM that judges attempts reads it, each under
//! the key of the control plane.

use std::time::Duration;

use discovery_map::DiscoveryMap;
use routing::interest::SEPARATOR;

use crate::denied::Denied;

/// What a map says about type-level 404s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence<'e> {
    pub(crate) generation: u64,
    /// From when on a type that no server in rotation knows does not exist; `None`
    /// if it may exist all the same.
    suffices_from: Option<Duration>,
    /// The addresses of the servers in rotation.
    servers: Vec<&'e [u8]>,
}

/// Returns the key of a control plane's evidence. Behind the slash, the root identifiers of its two
/// filters are the same. An Envoy with one control plane has none there.
pub(crate) fn key(root_id: &[u8]) -> Vec<u8> {
    let name = root_id.iter().position(|&byte| byte == b'/').and_then(|at| root_id.get(at..));
    [b"evidence", name.unwrap_or_default()].concat()
}

/// For how long a server has just left, as the companion counts. The companion may die
/// before it says that this time is over.
const JUST: Duration = Duration::from_secs(5);

impl<'e> Evidence<'e> {
    /// Returns the evidence of a map that is taken into use now, as VMs share it.
    pub(crate) fn to_bytes(map: &DiscoveryMap, now: Duration) -> Vec<u8> {
        let generation = map.generation.to_string();
        // A server that is gone may have known a type that the others do not know
        // yet.
        let from = if map.just_left { now.saturating_add(JUST) } else { Duration::ZERO };
        let from = if map.complete { from.as_nanos().to_string() } else { String::new() };
        let mut fields = vec![generation.as_bytes(), from.as_bytes()];
        fields.extend(map.rotation.iter().map(String::as_bytes));
        fields.join(&SEPARATOR)
    }

    /// Reads what a VM has shared. `None` if it is not evidence.
    pub(crate) fn parse(bytes: &'e [u8]) -> Option<Self> {
        let mut fields = bytes.split(|&byte| byte == SEPARATOR);
        let generation = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let suffices_from = match fields.next()? {
            b"" => None,
            from => Some(Duration::from_nanos(str::from_utf8(from).ok()?.parse().ok()?)),
        };
        Some(Self { generation, suffices_from, servers: fields.collect() })
    }

    /// Returns whether a type does not exist if no server in rotation knows it.
    pub(crate) fn suffices_at(&self, now: Duration) -> bool {
        self.suffices_from.is_some_and(|from| from <= now)
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
