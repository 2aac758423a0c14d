//! How much a peer may answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that one or several answers may have, all together. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u64,
    rest: Arc<AtomicU64>,
}

/// More bytes than there were.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} bytes")]
pub(super) struct Exceeded(u64);

impl Budget {
    /// Returns a budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, rest: Arc::new(AtomicU64::new(limit)) }
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// There were fewer. None are left then.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Exceeded> {
        let take = |rest: u64| Some(rest.saturating_sub(bytes));
        let rest = self.rest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let enough = rest.is_ok_and(|rest| rest >= bytes);
        if enough { Ok(()) } else { Err(Exceeded(self.limit)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_budget_and_nothing_is_left_once_it_is_exceeded() {
        let budget = Budget::new(10);
        assert_eq!(budget.take(4), Ok(()));
        assert_eq!(budget.clone().take(6), Ok(()));
        assert_eq!(budget.take(0), Ok(()));
        assert_eq!(budget.take(1), Err(Exceeded(10)));

        let budget = Budget::new(10);
        assert_eq!(budget.take(11).unwrap_err().to_string(), "more than 10 bytes");
        assert_eq!(budget.take(1), Err(Exceeded(10)));
    }
}
