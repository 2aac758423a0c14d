//! Why a document is not part of a merged one.

use api_discovery::OpenApiError;
use tokio::task::JoinError;

use crate::apiserver::{CredentialsError, FetchError};

/// Why a document could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The peer did not send it. Another one may, or the same one later.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// The document. It is the same on every peer that has it.
    #[error(transparent)]
    Unusable(#[from] OpenApiError),
    #[error("merging failed: {0}")]
    Ended(#[from] JoinError),
    /// No peer that has it is in rotation.
    #[error("no peer that has the document is in rotation")]
    Away,
}
