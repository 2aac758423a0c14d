//! Times that the project promises. Tests share a machine of two cores with other tests and compilers, so
//! they allow for twice a promise; what they measure goes into their report, or is printed.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Returns how long a test waits for what is promised within a time.
pub const fn on_busy_machine(promise: Duration) -> Duration {
    promise.saturating_mul(2)
}

/// Fails if something took longer than is promised, on a busy machine. `what` is a clause, such as
/// "the type was served".
pub fn ensure_kept(what: &str, promise: Duration, took: Duration) -> Result<()> {
    println!("{what} after {took:?}, promised within {promise:?}");
    let limit = on_busy_machine(promise);
    ensure!(took <= limit, "{what} only after {took:?}: within {promise:?} is promised");
    Ok(())
}

/// The most commands that a topology's document may ask of its reader, the check included.
pub const MOST_COMMANDS: usize = 10;
/// The longest time until they protect a control plane.
const MOST_TIME: Duration = Duration::from_secs(5 * 60);

/// Fails if it took too many commands, or too long, until Envoy protects a control plane.
pub fn ensure_short_installation(commands: usize, took: Duration) -> Result<()> {
    ensure!(commands <= MOST_COMMANDS && took <= MOST_TIME, "{commands} commands, {took:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ensure_kept;

    #[test]
    fn more_than_twice_the_promised_time_is_an_error_that_says_both() {
        let promise = Duration::from_secs(2);
        assert!(ensure_kept("it was served", promise, Duration::from_secs(4)).is_ok());
        let error = ensure_kept("it was served", promise, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.to_string(), "it was served only after 5s: within 2s is promised");
    }
}
