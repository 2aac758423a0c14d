//! Who may have a stream, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use super::client::{Client, NotAllowed};
use super::following::{Following, Socket};
use super::selection::Selection;
use super::snapshot::Snapshot;
use crate::clock::since_1970;
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

/// The longest time between two checks of a certificate. Somebody may set the clock.
const CHECK: Duration = Duration::from_secs(60 * 60);

type Latest = watch::Receiver<Arc<Snapshot>>;

#[derive(Clone, Debug)]
pub enum Access {
    /// Of a companion: for whoever presents a certificate with an allowed name.
    Names { settings: watch::Receiver<Arc<AdsSettings>>, started: Instant },
    /// Of a mirror: for whoever can open its socket.
    Socket(Socket),
}

impl Access {
    /// Checks that a client may have a stream now.
    pub fn check(&self, client: &Client) -> Result<(), NotAllowed> {
        match self {
            Self::Names { settings, .. } => check(settings, client),
            Self::Socket(_) => Ok(()),
        }
    }

    /// Returns the control planes that a client may have now.
    pub fn granted(&self, client: &Client) -> Selection {
        match self {
            Self::Names { settings, .. } => {
                client.granted(&settings.borrow()).unwrap_or_else(Selection::none)
            }
            Self::Socket(_) => Selection::All,
        }
    }

    /// Waits until a client may have others than before.
    pub async fn changed(&mut self) {
        if let Self::Names { settings, .. } = self
            && settings.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Returns whether the server has something to serve, or will soon.
    pub fn is_ready(&self, latest: &Snapshot) -> bool {
        match self {
            Self::Names { started, .. } => has_map(latest) || started.elapsed() < FIRST_MAP,
            Self::Socket(_) => !latest.parts.is_empty(),
        }
    }

    /// Returns whether an Envoy that asks for these control planes may get what this server has
    /// although it has something else.
    pub fn may_replace(&self, asked: &Selection) -> bool {
        match self {
            Self::Names { .. } => true,
            Self::Socket(socket) => socket.may_replace(asked),
        }
    }

    /// Returns the status for an Envoy that must keep what it has.
    pub fn keep_status(&self) -> Status {
        if let Self::Socket(socket) = self {
            socket.warn();
        }
        Status::unavailable("this mirror's resources may be older or fewer than the Envoy's")
    }

    /// Returns whether the log already says that an Envoy must keep what it has. It asks once a second.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Socket(socket) if socket.has_warned())
    }

    /// Waits until a stream must end, whatever its client gets. Returns the status for the client.
    pub async fn end(self, client: Client) -> Result<(), Status> {
        match self {
            Self::Names { settings, .. } => forbidden(settings, client).await,
            Self::Socket(socket) => {
                home(socket.following()).await;
                Ok(())
            }
        }
    }

    /// Waits until a stream must end, because what its client gets has no map after some time.
    /// Returns the status for the client. A mirror serves only what has a map.
    pub async fn end_without_map(self, latest: Latest) -> Status {
        if let Self::Names { .. } = self {
            sleep(FIRST_MAP).await;
            if !has_map(&latest.borrow()) {
                return without_map_status();
            }
        }
        std::future::pending().await
    }
}

/// Returns the status that sends a client to another server.
pub fn without_map_status() -> Status {
    Status::unavailable("this server has no map yet")
}

fn check(settings: &watch::Receiver<Arc<AdsSettings>>, client: &Client) -> Result<(), NotAllowed> {
    let settings = Arc::clone(&settings.borrow());
    client.check(&settings, since_1970())
}

/// Returns whether an Envoy can start: a map has come, or there are no control planes that one could
/// come for. With many control planes, the Envoy also needs their listener, which may come later than
/// the first map.
fn has_map(latest: &Snapshot) -> bool {
    if latest.parts.is_empty() {
        return latest.awaited.is_empty();
    }
    latest.listeners.is_some() || latest.parts.values().any(|part| part.is_alone())
}

/// Checks a client when names or authorities change, and when a certificate expires. Returns once the
/// client is no longer allowed.
async fn forbidden(
    mut settings: watch::Receiver<Arc<AdsSettings>>,
    client: Client,
) -> Result<(), Status> {
    loop {
        let next = client.next_expiry(since_1970()).map_or(CHECK, |expiry| expiry.min(CHECK));
        tokio::select! {
            changed = settings.changed() => if changed.is_err() { return Ok(()) },
            () = sleep(next) => {}
        }
        settings.mark_unchanged();
        check(&settings, &client).map_err(|error| {
            Status::permission_denied(format!("the client is no longer allowed: {error}"))
        })?;
    }
}

async fn home(mut following: watch::Receiver<Following>) {
    if following.borrow_and_update().companion {
        sleep(FOLLOWING).await;
    } else {
        // Whichever comes first.
        drop(timeout(ALONE, following.wait_for(|following| following.companion)).await);
    }
}

#[cfg(test)]
mod tests;
