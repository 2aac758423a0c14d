//! Decides whether another server is asked after a type-level 404.
//!
//! The 404 is proved when every server in rotation has denied this request. The
//! addresses of these servers are kept with the stream. How often the proxy tried
//! does not matter, but when it has no other server to try, the 404 stays unproved.

use std::time::Duration;

use crate::budget::Budget;
use crate::denied::Denied;
use crate::evidence::Evidence;
use crate::metrics::Doubt;

/// Returns the outcome of a type-level 404 after these servers denied the request.
pub(crate) fn decide(
    denied: &Denied,
    evidence: Option<&Evidence<'_>>,
    budget: &Budget,
    now: Duration,
) -> Doubt {
    match evidence {
        Some(evidence) if evidence.is_complete(denied) => {
            if evidence.suffices_at(now) {
                Doubt::DeniedByAll
            } else {
                Doubt::Unproved
            }
        }
        Some(evidence) if evidence.has_servers() && !denied.is_exhausted() => {
            if budget.take(now, denied.is_of_a_listed_type()) {
                Doubt::AskedAgain
            } else {
                Doubt::OverBudget
            }
        }
        // Nobody is left to ask.
        _ => Doubt::Unproved,
    }
}
