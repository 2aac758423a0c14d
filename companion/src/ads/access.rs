//! Who may have a stream, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use super::snapshot::Snapshot;
use crate::secrets::AdsSettings;

/// How long an Envoy waits for the first map of a companion that has just started. Then it is sent
/// away: another companion may have one, or a mirror.
const FIRST_MAP: Duration = Duration::from_secs(5);

/// How long a mirror serves an Envoy while it follows a companion itself: this Envoy could not reach
/// one, and tries again.
const FOLLOWING: Duration = Duration::from_secs(10);

/// How long a mirror that follows no companion serves an Envoy. The Envoy may reach a companion that
/// the mirror cannot reach.
const ALONE: Duration = Duration::from_secs(60);

type Latest = watch::Receiver<Arc<Snapshot>>;

#[derive(Clone, Debug)]
pub enum Access {
    /// Of a companion: for whoever presents a certificate with an allowed name.
    Names { settings: watch::Receiver<Arc<AdsSettings>>, started: Instant },
    /// Of a mirror: for whoever can open its socket. Whether the mirror follows a companion.
    Socket(watch::Receiver<bool>),
}

impl Access {
    /// Returns whether a client whose certificate has these names may open a stream.
    pub fn is_allowed(&self, names: &[String]) -> bool {
        match self {
            Self::Names { settings, .. } => is_allowed(settings, names),
            Self::Socket(_) => true,
        }
    }

    /// Returns whether the server has something to serve, or will soon.
    pub fn is_ready(&self, latest: &Snapshot) -> bool {
        match self {
            Self::Names { started, .. } => has_map(latest) || started.elapsed() < FIRST_MAP,
            Self::Socket(_) => !latest.parts.is_empty(),
        }
    }

    /// Waits until a stream is to be ended. Returns what the client is told.
    pub async fn end(self, names: Vec<String>, latest: Latest) -> Result<(), Status> {
        match self {
            Self::Names { settings, .. } => tokio::select! {
                ended = forbidden(settings, names) => ended,
                () = without_map(latest) => Err(without_map_status()),
            },
            Self::Socket(following) => {
                home(following).await;
                Ok(())
            }
        }
    }
}

/// Returns the status that sends a client to another server.
pub fn without_map_status() -> Status {
    Status::unavailable("this server has no map yet")
}

fn is_allowed(settings: &watch::Receiver<Arc<AdsSettings>>, names: &[String]) -> bool {
    let settings = settings.borrow();
    settings.server.allowed_client_names.iter().any(|name| names.contains(name))
}

/// Returns whether a map has come, or none is awaited because there are no control planes.
fn has_map(latest: &Snapshot) -> bool {
    !latest.parts.is_empty() || latest.awaited.is_empty()
}

async fn forbidden(
    mut settings: watch::Receiver<Arc<AdsSettings>>,
    names: Vec<String>,
) -> Result<(), Status> {
    while settings.changed().await.is_ok() {
        settings.mark_unchanged();
        if !is_allowed(&settings, &names) {
            return Err(Status::permission_denied("the name is not allowed any more"));
        }
    }
    Ok(())
}

async fn without_map(latest: Latest) {
    sleep(FIRST_MAP).await;
    if has_map(&latest.borrow()) {
        std::future::pending::<()>().await;
    }
}

async fn home(mut following: watch::Receiver<bool>) {
    if *following.borrow_and_update() {
        sleep(FOLLOWING).await;
    } else {
        // Whichever comes first.
        drop(timeout(ALONE, following.wait_for(|following| *following)).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mirror_sends_envoys_home_when_it_follows_a_companion() {
        let (sender, following) = watch::channel(false);
        let latest = watch::channel(Arc::default()).1;
        let access = Access::Socket(following);
        let start = Instant::now();
        let end = |access: &Access| access.clone().end(Vec::new(), latest.clone());
        let (ended, ()) = tokio::join!(end(&access), async {
            sleep(Duration::from_secs(5)).await;
            sender.send_replace(true);
        });
        assert!(ended.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert!(end(&access).await.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(5) + FOLLOWING);
        sender.send_replace(false);
        assert!(end(&access).await.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(5) + FOLLOWING + ALONE);
    }

    #[test]
    fn an_empty_mirror_serves_nobody() {
        let access = Access::Socket(watch::channel(false).1);
        assert!(!access.is_ready(&Snapshot::default()));
    }
}
