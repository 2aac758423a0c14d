//! Waits for a condition with a deadline; the error says what did not happen and
//! what was seen last.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The time between two checks. It is short because tests measure when a
/// condition becomes true.
const INTERVAL: Duration = Duration::from_millis(20);

/// Polls until `condition` returns `Ok`, and returns its value.
///
/// The error of `condition` says what it saw; the last one becomes part of the
/// message if `deadline` passes. Fails if the deadline passes.
pub async fn until<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        // Look once more after the deadline: this process may not have run until then.
        let is_last = started.elapsed() >= deadline;
        match condition().await {
            Ok(value) => return Ok(value),
            Err(seen) if is_last => {
                bail!("waited {deadline:?} for {what}; last seen: {seen:#}")
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// Polls until `condition` is true. Fails if the deadline passes.
pub async fn until_true(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Result<()> {
    until(what, deadline, async || if condition().await { Ok(()) } else { Err("not yet") }).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{until, until_true};

    #[tokio::test]
    async fn the_value_of_a_met_condition_is_returned() {
        let mut rounds = 0;
        let value = until("three rounds", Duration::from_secs(5), async || {
            rounds += 1;
            if rounds == 3 { Ok(rounds) } else { Err(format!("{rounds} rounds")) }
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_message_has_the_last_observation() {
        let error = until("the impossible", Duration::from_millis(30), async || {
            Err::<(), _>("still nothing")
        });
        let message = error.await.unwrap_err().to_string();
        assert!(message.contains("the impossible") && message.contains("still nothing"));
    }

    #[tokio::test]
    async fn a_false_condition_ends_at_the_deadline() {
        assert!(until_true("never", Duration::from_millis(30), async || false).await.is_err());
    }
}
