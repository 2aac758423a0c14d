//! Whether a mirror follows a companion, and may replace what an Envoy has.
//!
//! An Envoy that runs may have newer resources than its mirror: one that could not follow companions
//! does not have what they sent that Envoy. With older ones, a type that the Envoy knows would be a
//! 404. So an unconfirmed mirror gives an Envoy nothing that replaces what it has. Nor does one that
//! follows only some of the control planes that the Envoy asks for: the others would go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::selection::Selection;

/// How long what a companion confirmed counts as the latest. When companions vanish, an Envoy
/// notices up to 20 s after its mirror, by the keepalive of its connection, and then looks for
/// another server.
const RECENT: Duration = Duration::from_secs(30);

/// What a mirror knows of companions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Whether it follows one.
    pub companion: bool,
    /// Whether that one, or the one before, says what the mirror serves.
    pub confirmed: Confirmed,
}

/// When a companion said what the mirror serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirmed {
    /// Not while this process ran. Its file may be older than what Envoys have.
    #[default]
    Never,
    Until(Instant),
    Now,
}

impl Following {
    /// Returns whether no companion can have sent anything newer, except in the last seconds.
    fn is_confirmed(self) -> bool {
        match self.confirmed {
            Confirmed::Never => false,
            Confirmed::Until(last) => last.elapsed() < RECENT,
            Confirmed::Now => true,
        }
    }
}

/// The mirror, as its streams see it.
#[derive(Clone, Debug)]
pub struct Socket {
    following: watch::Receiver<Following>,
    /// The control planes that it follows.
    control_planes: Selection,
    /// When it was last logged that an Envoy gets nothing.
    warned: Arc<Mutex<Option<Following>>>,
}

impl Socket {
    pub fn new(following: watch::Receiver<Following>, control_planes: Selection) -> Self {
        Self { following, control_planes, warned: Arc::default() }
    }

    /// Returns whether an Envoy that asks for these control planes may get what is served although it
    /// has something else.
    pub fn may_replace(&self, asked: &Selection) -> bool {
        self.control_planes.has_all(asked) && self.following.borrow().is_confirmed()
    }

    /// Logs that an Envoy gets nothing. It asks once a second, so the log says it only if something
    /// has changed since.
    pub fn warn(&self) {
        let following = *self.following.borrow();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.replace(following) != Some(following) {
            tracing::warn!(
                "an Envoy keeps resources that differ from this mirror's: no companion confirmed the mirror's resources recently, or the mirror's controlPlanes lacks a control plane that the Envoy requests"
            );
        }
    }

    /// Returns whether the warning was already logged for the current state.
    pub fn has_warned(&self) -> bool {
        let warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        *warned == Some(*self.following.borrow())
    }

    /// Returns a receiver that reports whether the mirror follows a companion.
    pub fn following(&self) -> watch::Receiver<Following> {
        self.following.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_companion_confirmed_is_the_latest_for_some_seconds() {
        let (sender, following) = watch::channel(Following::default());
        let socket = Socket::new(following, Selection::All);
        let is_confirmed = || socket.may_replace(&Selection::All);
        assert!(!is_confirmed());
        sender.send_modify(|following| following.companion = true);
        assert!(!is_confirmed(), "the companion may be about to send something");
        sender.send_modify(|following| following.confirmed = Confirmed::Now);
        sleep(RECENT * 2).await;
        assert!(is_confirmed());
        let lost = Following { companion: false, confirmed: Confirmed::Until(Instant::now()) };
        sender.send_replace(lost);
        sleep(RECENT - Duration::from_millis(1)).await;
        assert!(is_confirmed());
        sleep(Duration::from_millis(1)).await;
        assert!(!is_confirmed());
    }

    #[test]
    fn a_mirror_of_some_control_planes_takes_no_other_from_an_envoy() {
        let (_sender, following) =
            watch::channel(Following { companion: false, confirmed: Confirmed::Now });
        let some = |names: &[&str]| {
            Selection::Some(Arc::new(names.iter().map(|name| name.parse().unwrap()).collect()))
        };
        let socket = Socket::new(following, some(&["a", "b"]));
        assert!(socket.may_replace(&some(&["a"])) && socket.may_replace(&some(&["a", "b"])));
        assert!(!socket.may_replace(&some(&["a", "c"])) && !socket.may_replace(&Selection::All));
    }
}
