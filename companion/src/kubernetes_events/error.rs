//! Why an Event was not written.

use reqwest::StatusCode;

use crate::apiserver::{CredentialsError, FetchError};

/// Why an Event was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The control plane does not want it: a permission or the namespace is missing. Every peer
    /// would answer the same, so the Event is given up.
    #[error("{status}: {message}")]
    Refused {
        status: StatusCode,
        /// What the API server says, such as which user may not do what.
        message: String,
    },
    /// A peer did not answer, or is at fault. Another peer, or the next attempt, may succeed.
    #[error(transparent)]
    Failed(#[from] FetchError),
    /// The companion's credentials cannot be used. The next attempt may succeed.
    #[error("credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// No peer serves. The next attempt may succeed.
    #[error("no API server is ready")]
    NoPeer,
}

impl WriteError {
    /// Returns whether it is useless to try again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Returns whether every other peer would answer with the same status. Permissions and objects are
/// in the store that all peers share. A 401 is not, because each peer has files of its own by which
/// it knows a user, and a 409 comes from another write at the same moment.
pub(super) fn is_of_all_peers(status: StatusCode) -> bool {
    let is_of_one = [
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !is_of_one.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_final_and_a_busy_or_unsure_peer_is_not() {
        let is_of_all = |status| is_of_all_peers(StatusCode::from_u16(status).unwrap());
        assert!([400, 403, 404, 422].into_iter().all(is_of_all));
        assert!(![401, 408, 409, 429, 500, 503, 504].into_iter().any(is_of_all));
    }
}
