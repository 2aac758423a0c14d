//! What a failed attempt means, depending on the ones before it.
//!
//! A broken or refused connection is proof once an immediate second attempt ends
//! the same way (the first may have used a connection that the peer closed
//! between two rounds). A single time-out is not: a busy peer answers late, and
//! taking it out of rotation makes the others busier. Two in a row are.

use std::error::Error;
use std::io::ErrorKind;

use reqwest::StatusCode;

use crate::apiserver::FetchError;
use crate::facts::Observation;

/// How many time-outs in a row make a peer unreachable.
const TIMEOUTS: u32 = 2;

/// Remembers what the next failure is judged by.
#[derive(Debug, Default)]
pub(super) struct Judge {
    timeouts: u32,
}

impl Judge {
    /// Records an answer: earlier failures no longer count.
    pub(super) fn answered(&mut self) {
        self.timeouts = 0;
    }

    /// Returns what it means that `/readyz` failed, after the second attempt.
    pub(super) fn failed(&mut self, error: &FetchError) -> Observation {
        let reason = error.to_string();
        let timed_out = matches!(error, FetchError::Timeout(_));
        self.timeouts = if timed_out { self.timeouts + 1 } else { 0 };
        match error {
            FetchError::Timeout(_) if self.timeouts < TIMEOUTS => {
                Observation::Inconclusive { reason }
            }
            FetchError::Timeout(_) => Observation::Unreachable { reason, refused: false },
            FetchError::Transport(cause) => {
                Observation::Unreachable { reason, refused: is_refused(&**cause) }
            }
            // The peer is alive and overloaded.
            FetchError::Status { status: StatusCode::TOO_MANY_REQUESTS, .. } => {
                Observation::Inconclusive { reason }
            }
            FetchError::Status { .. } | FetchError::Body { .. } | FetchError::Limit { .. } => {
                Observation::NotReady { reason }
            }
        }
    }
}

/// Returns whether a connection failed because nobody listens.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    let causes = std::iter::from_fn(|| {
        let error = cause?;
        cause = error.source();
        Some(error)
    });
    let mut io = causes.filter_map(|error| error.downcast_ref::<std::io::Error>());
    io.any(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn timeout() -> FetchError {
        FetchError::Timeout(Duration::from_secs(3))
    }

    fn status(status: StatusCode) -> FetchError {
        FetchError::Status { path: "/readyz".to_owned(), status }
    }

    #[test]
    fn a_broken_connection_is_unreachable_at_once() {
        let observation = Judge::default().failed(&FetchError::Transport("reset".into()));
        assert!(matches!(observation, Observation::Unreachable { refused: false, .. }));
    }

    #[tokio::test]
    async fn a_port_at_which_nobody_listens_refuses() {
        // Bound for the whole test: otherwise another one could get the port.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let unused = socket.local_addr().unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(ring);
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
        let error = client.get(format!("https://{unused}")).send().await.unwrap_err();
        let observation = Judge::default().failed(&FetchError::Transport(error.into()));
        assert!(matches!(observation, Observation::Unreachable { refused: true, .. }));
    }

    #[test]
    fn only_the_second_time_out_in_a_row_is_unreachable() {
        let mut judge = Judge::default();
        assert!(matches!(judge.failed(&timeout()), Observation::Inconclusive { .. }));
        assert!(matches!(judge.failed(&timeout()), Observation::Unreachable { .. }));
        judge.answered();
        assert!(matches!(judge.failed(&timeout()), Observation::Inconclusive { .. }));
    }

    #[test]
    fn an_overloaded_peer_keeps_its_state() {
        let observation = Judge::default().failed(&status(StatusCode::TOO_MANY_REQUESTS));
        assert!(matches!(observation, Observation::Inconclusive { .. }));
    }

    #[test]
    fn any_other_answer_is_not_ready() {
        for code in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::UNAUTHORIZED] {
            let observation = Judge::default().failed(&status(code));
            assert!(matches!(observation, Observation::NotReady { .. }));
        }
    }
}
