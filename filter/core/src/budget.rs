//! How often a worker may ask another server of a control plane: a token bucket.
//!
//! A request for a type that no server has is sent to every server. Clients that
//! send many of them would multiply their load by the number of servers; beyond
//! the budget they get 503 with `Retry-After` after the first server.

use std::cell::Cell;
use std::time::Duration;

/// How many further attempts a worker may make at a control plane in a second, and at once. With three
/// servers, that is enough for 1,000 requests for unknown types in a second.
pub const PER_SECOND: u32 = 2000;

/// The budget of one control plane in one VM.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In nanoseconds of what one second fills.
    left: Cell<Duration>,
    filled_at: Cell<Duration>,
}

const FULL: Duration = Duration::from_secs(1);

/// What is kept for requests for types that the map lists: another server is likely to
/// answer those, also while clients ask for many types that no server has.
const RESERVE: Duration = Duration::from_millis(250);

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(FULL), filled_at: Cell::new(Duration::ZERO) }
    }

    /// Takes one attempt, and from the reserve only if the map lists the type. Returns
    /// whether one was left.
    pub(crate) fn take(&self, now: Duration, is_listed: bool) -> bool {
        let passed = now.saturating_sub(self.filled_at.replace(now));
        let left = self.left.get().saturating_add(passed).min(FULL);
        let kept = if is_listed { Duration::ZERO } else { RESERVE };
        let rest = left.checked_sub(FULL / PER_SECOND).filter(|rest| *rest >= kept);
        self.left.set(rest.unwrap_or(left));
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, now: Duration) -> usize {
        (0..2 * PER_SECOND).filter(|_| budget.take(now, true)).count()
    }

    #[test]
    fn types_that_the_map_does_not_list_leave_a_quarter_to_those_that_it_lists() {
        let budget = Budget::new();
        let full = usize::try_from(PER_SECOND).unwrap();
        let now = Duration::from_secs(9);
        let unlisted = (0..2 * PER_SECOND).filter(|_| budget.take(now, false)).count();
        assert_eq!(unlisted, full / 4 * 3);
        assert_eq!(taken(&budget, now), full / 4);
        // The reserve is filled first.
        assert!(!budget.take(Duration::from_millis(9_250), false));
        assert!(budget.take(Duration::from_millis(9_251), false));
    }

    #[test]
    fn a_second_fills_the_budget() {
        let budget = Budget::new();
        let full = usize::try_from(PER_SECOND).unwrap();
        assert_eq!(taken(&budget, Duration::from_secs(9)), full);
        assert_eq!(taken(&budget, Duration::from_millis(9_500)), full / 2);
        assert_eq!(taken(&budget, Duration::from_secs(3600)), full);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_fill_the_budget() {
        let budget = Budget::new();
        taken(&budget, Duration::from_secs(9));
        assert_eq!(taken(&budget, Duration::from_secs(5)), 0);
    }
}
