//! How long the source of the peers has been watched, and what follows from that.
//!
//! A companion knows nothing of servers that left their source before it looked: neither that there
//! were any, nor what they served. So what no peer serves may still be a type of such a server, and
//! a 404 for it is proved only once everybody who could have left unseen would be forgotten.
//!
//! ```text
//!  no state, or a long gap ──▶ unproved ──the source said for `forgetAfter` who is there──▶ proved
//! ```
//!
//! A person's list is never incomplete: what a person removes is forgotten at once.

use std::time::Duration;

/// A server that comes, gets requests and leaves again takes longer than this, so a shorter gap in
/// the source's answers cannot hide such a server.
const GAP: Duration = Duration::from_secs(5 * 60);

/// Until the source has said for so long without a break who is there, it may not have named all:
/// DNS servers that start answer with a part. So a server that is new to the companion may have
/// served others for long.
pub(super) const STEADY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// Whether the source says now who is there.
    fresh: bool,
    /// For how long it has, but for gaps that hide no server. [`Duration::MAX`]: all are known.
    watched: Duration,
    /// For how long it has without any gap.
    steady: Duration,
    /// For how long it has not.
    gap: Duration,
    /// Whether those that the source has first are believed to be all that there were.
    trusts_first: bool,
}

impl Watch {
    /// Goes on from what an earlier run remembered: for how long it had watched, and for how long the
    /// source has said nothing since.
    pub(super) fn restore(watched: Duration, gap: Duration) -> Self {
        let (fresh, steady, trusts_first) = (false, Duration::ZERO, false);
        let mut watch = Self { fresh, watched, steady, gap, trusts_first };
        watch.forget_if_gap_hides();
        watch
    }

    /// Begins without any knowledge. `trusts_first`: the peers that the source has first are all
    /// that there were.
    pub(super) fn new(trusts_first: bool) -> Self {
        Self { trusts_first, ..Self::restore(Duration::ZERO, Duration::ZERO) }
    }

    /// Takes in whether the source says now who is there, and whether a person does.
    pub(super) fn follow(&mut self, fresh: bool, by_hand: bool) {
        self.fresh = fresh;
        if by_hand {
            self.watched = Duration::MAX;
        }
        if fresh {
            self.gap = Duration::ZERO;
        } else {
            self.steady = Duration::ZERO;
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, passed: Duration) {
        if !self.fresh {
            self.gap = self.gap.saturating_add(passed);
            self.forget_if_gap_hides();
            return;
        }
        self.watched = self.watched.saturating_add(passed);
        self.steady = self.steady.saturating_add(passed);
        if self.trusts_first && self.is_steady() {
            self.watched = Duration::MAX;
        }
    }

    /// Notes that a peer had to be forgotten early, with what it served.
    pub(super) fn lose(&mut self) {
        self.watched = Duration::ZERO;
        self.trusts_first = false;
    }

    /// Returns whether everybody who left unseen would be forgotten by now.
    pub(super) fn is_proof(&self, forget_after: Duration) -> bool {
        self.watched >= forget_after
    }

    /// Returns whether a server that the source has now, and had not before, is new.
    pub(super) fn is_steady(&self) -> bool {
        self.steady >= STEADY
    }

    /// Returns what the next run must know: for how long the source was watched, of which more than
    /// `forget_after` makes no difference, and for how long it has said nothing.
    pub(super) fn to_save(self, forget_after: Duration) -> (Duration, Duration) {
        (self.watched.min(forget_after), self.gap.min(GAP))
    }

    fn forget_if_gap_hides(&mut self) {
        if self.gap >= GAP {
            self.lose();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn watched(watch: &mut Watch, time: Duration) -> bool {
        watch.follow(true, false);
        watch.pass(time);
        watch.is_proof(HOUR)
    }

    fn gap(watch: &mut Watch, time: Duration) {
        watch.follow(false, false);
        watch.pass(time);
    }

    #[test]
    fn nothing_is_proved_before_everybody_who_left_unseen_would_be_forgotten() {
        let mut watch = Watch::new(false);
        gap(&mut watch, MINUTE);
        assert!(!watched(&mut watch, HOUR - MINUTE));
        assert!(watched(&mut watch, MINUTE));
    }

    #[test]
    fn a_gap_that_could_hide_a_server_begins_anew_and_a_short_one_does_not() {
        let mut watch = Watch::new(false);
        assert!(watched(&mut watch, HOUR));
        gap(&mut watch, GAP / 2);
        assert!(watched(&mut watch, MINUTE));
        gap(&mut watch, GAP / 2);
        assert!(watch.is_proof(HOUR));
        gap(&mut watch, GAP / 2);
        assert!(!watch.is_proof(HOUR));
        assert!(!watched(&mut watch, HOUR - MINUTE));
        assert!(watched(&mut watch, MINUTE));
    }

    #[test]
    fn the_time_between_two_runs_is_a_gap() {
        let mut watch = Watch::restore(HOUR, MINUTE);
        assert!(watch.is_proof(HOUR));
        gap(&mut watch, GAP - MINUTE);
        assert!(!watch.is_proof(HOUR));
        assert!(!Watch::restore(HOUR, GAP).is_proof(HOUR));
        let mut watch = Watch::restore(HOUR, MINUTE);
        gap(&mut watch, MINUTE);
        assert_eq!(watch.to_save(HOUR), (HOUR, 2 * MINUTE), "a restart does not end a gap");
    }

    #[test]
    fn a_source_is_steady_after_a_minute_without_a_gap() {
        let mut watch = Watch::restore(HOUR, Duration::ZERO);
        watched(&mut watch, STEADY - Duration::from_secs(1));
        assert!(!watch.is_steady());
        watched(&mut watch, Duration::from_secs(1));
        assert!(watch.is_steady());
        gap(&mut watch, Duration::ZERO);
        assert!(!watch.is_steady());
    }

    #[test]
    fn trusted_first_peers_count_as_complete_once_the_source_is_steady() {
        let mut watch = Watch::new(true);
        assert!(!watched(&mut watch, STEADY / 2));
        assert!(watched(&mut watch, STEADY / 2));
        assert_eq!(watch.to_save(HOUR), (HOUR, Duration::ZERO));
        gap(&mut watch, GAP);
        assert!(!watched(&mut watch, STEADY), "they are the first only once");
    }

    #[test]
    fn a_persons_list_counts_as_complete_also_when_a_source_replaces_it() {
        let mut watch = Watch::new(false);
        watch.follow(true, true);
        assert!(watch.is_proof(HOUR));
        gap(&mut watch, MINUTE);
        assert!(watch.is_proof(HOUR));
    }
}
