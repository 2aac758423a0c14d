//! Why publishing fails.

use discovery_map::Faults;

use crate::files::DiskError;
use crate::state::StateError;
use crate::xds::EncodeError;

/// Nothing, or not everything, was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The map is invalid: a fault of this program. A retry does not help.
    #[error("the map is not valid: {0}")]
    InvalidMap(#[from] Faults),
    /// Something cannot be written as JSON: a fault of this program.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Something cannot be written in protobuf: a fault of this program.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A file cannot be written. A retry may succeed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state cannot be written. A retry may succeed.
    #[error(transparent)]
    State(#[from] StateError),
}
