//! Where a request goes.

/// Where a request goes: what the map says of a target, and what is decided
/// for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'m> {
    /// To the route's own cluster: every serving peer.
    Default,
    /// To the peers of this Envoy cluster.
    Cluster(&'m str),
    /// Nowhere: no peer that serves the target is in rotation.
    Unavailable,
}
