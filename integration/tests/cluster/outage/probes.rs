//! The answers to probes of a type that only one server has.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::load::{End, Journal, Operation};

/// How long anything is waited for; promises are judged afterwards.
const DEADLINE: Duration = Duration::from_secs(30);

/// So many operations in a row, of two probes and other clients, without another
/// answer to a probe are the new state: they take two seconds, longer than the
/// next poll and push.
const IN_A_ROW: usize = 200;

/// Waits until all probes have had only the wanted answer for a while.
pub async fn settled(
    journal: &Journal,
    since: Instant,
    what: &str,
    wanted: impl Fn(&Operation) -> bool,
) -> Result<()> {
    harness::wait::until(what, DEADLINE, async || {
        let (row, before) =
            journal.row(since, |operation| operation.label != "probe" || wanted(operation));
        ensure!(row >= IN_A_ROW, "{row} in a row, after {before:?}");
        Ok(())
    })
    .await
}

/// Returns the time from `since` to the end of the last probe for which `wanted`
/// holds.
pub fn last(journal: &Journal, since: Instant, wanted: impl Fn(&Operation) -> bool) -> Duration {
    let probes = journal.operations(|operation| {
        operation.label == "probe" && operation.ended > since && wanted(operation)
    });
    let ends = probes.iter().map(|operation| operation.ended);
    ends.max().map_or(Duration::ZERO, |end| end.saturating_duration_since(since))
}

/// Returns whether the type was served.
pub fn is_served(operation: &Operation) -> bool {
    matches!(operation.end, End::Answered { status: 200, .. })
}
