//! Decides whether another server is asked after a type-level 404.
//!
//! The 404 is proved when every server in rotation has denied this request. The
//! addresses of these servers are kept with the stream. How often the proxy tried
//! does not matter.

use std::time::Duration;

use routing::interest::SEPARATOR;

use crate::budget::Budget;
use crate::evidence::Evidence;
use crate::metrics::Doubt;

/// Returns the servers that denied a request, with one more.
pub(crate) fn with(denied: Option<Vec<u8>>, server: &[u8]) -> Vec<u8> {
    let mut denied = denied.unwrap_or_default();
    if !denied.is_empty() {
        denied.push(SEPARATOR);
    }
    denied.extend_from_slice(server);
    denied
}

/// Returns the outcome of a type-level 404 after these servers denied the request.
pub(crate) fn decide(
    denied: &[u8],
    evidence: Option<&Evidence<'_>>,
    budget: &Budget,
    now: impl FnOnce() -> Duration,
) -> Doubt {
    match evidence {
        Some(evidence) if evidence.is_complete(denied) => {
            if evidence.suffices {
                Doubt::DeniedByAll
            } else {
                Doubt::Unproved
            }
        }
        Some(evidence) if evidence.has_servers() => {
            if budget.take(now()) {
                Doubt::AskedAgain
            } else {
                Doubt::OverBudget
            }
        }
        // Nobody to ask.
        _ => Doubt::Unproved,
    }
}
