//! What one task tells the others: a peer changed, so the others may have changed too.
//!
//! ```text
//!  task a ──send──▶ count of all changes ──received──▶ task b, whose count is less
//! ```
//!
//! A task follows each change that another task saw, also one that is sent while a round runs: the
//! round may have read its peer before that peer changed. It does not follow its own.

use tokio::sync::watch;

/// One task's end of the channel that all tasks share.
#[derive(Debug)]
pub(super) struct Nudge {
    changes: watch::Sender<u64>,
    receiver: watch::Receiver<u64>,
    /// How many of the changes need no further round of this task.
    followed: u64,
}

impl Nudge {
    /// Returns the end of the first task of a channel of its own.
    pub(super) fn new() -> Self {
        Self::of(watch::Sender::new(0))
    }

    /// Returns an end for another task. It follows what is sent from now on.
    pub(super) fn join(&self) -> Self {
        Self::of(self.changes.clone())
    }

    fn of(changes: watch::Sender<u64>) -> Self {
        let receiver = changes.subscribe();
        let followed = *receiver.borrow();
        Self { changes, receiver, followed }
    }

    /// Tells all other tasks of a change.
    pub(super) fn send(&mut self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
        self.followed = self.followed.wrapping_add(1);
    }

    /// Waits until another task saw a change that this one has not followed.
    pub(super) async fn received(&mut self) {
        let followed = self.followed;
        // The sender is in `self`, so this never fails.
        _ = self.receiver.wait_for(|changes| *changes != followed).await;
    }

    /// Notes that a round begins: it follows all changes up to now.
    pub(super) fn follow(&mut self) {
        self.followed = *self.receiver.borrow();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::Nudge;

    fn is_nudged(nudge: &mut Nudge) -> bool {
        pin!(nudge.received()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_change_nudges_the_other_tasks_once() {
        let mut a = Nudge::new();
        let (mut b, mut c) = (a.join(), a.join());
        a.send();
        assert!(!is_nudged(&mut a));
        for other in [&mut b, &mut c] {
            assert!(is_nudged(other));
            other.follow();
            assert!(!is_nudged(other));
        }
    }

    #[test]
    fn a_nudge_that_comes_during_a_round_is_followed_though_the_round_sees_a_change() {
        let mut a = Nudge::new();
        let mut b = a.join();
        a.follow();
        b.send();
        a.send();
        assert!(is_nudged(&mut a));
        assert!(is_nudged(&mut b));
    }

    #[test]
    fn a_new_task_follows_no_earlier_change() {
        let mut a = Nudge::new();
        a.send();
        assert!(!is_nudged(&mut a.join()));
    }
}
