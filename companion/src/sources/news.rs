//! What a source tells: plain data.

use std::net::SocketAddr;

/// An API server as a source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub address: SocketAddr,
    /// What the source calls it; not necessarily a name that a peer can have.
    pub name: Option<String>,
}

/// What a source found: all servers that it has now, or why it does not know them.
pub(super) type News = Result<Vec<Server>, String>;
