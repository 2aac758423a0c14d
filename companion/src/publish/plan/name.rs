//! What exists on its own, and is removed by name.

/// The name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The endpoints of a cluster.
    Endpoints(String),
    /// A secret.
    Secret(String),
}
