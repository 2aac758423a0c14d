//! What a run shows.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pair::Pair;
use crate::spec::{Outcome, Spec};

/// How much of a failure's message is shown.
const MESSAGE: usize = 300;

/// A spec that failed through Envoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// Why it failed.
    pub message: String,
    /// How it ended directly on the newer server.
    pub directly: Outcome,
}

impl Failure {
    /// Returns whether the spec fails through Envoy only.
    fn is_ours(&self) -> bool {
        self.directly == Outcome::Passed
    }
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pair: Pair,
    time: Duration,
    passed: usize,
    skipped: usize,
    left_out: usize,
    failures: Vec<Failure>,
}

impl Summary {
    /// Counts `specs`, those of the run through Envoy.
    pub(crate) fn new(pair: Pair, specs: &[Spec], failures: Vec<Failure>, time: Duration) -> Self {
        let count = |outcome| specs.iter().filter(|spec| spec.outcome == outcome).count();
        Self {
            pair,
            time,
            passed: count(Outcome::Passed),
            skipped: count(Outcome::SkippedItself),
            left_out: count(Outcome::LeftOut),
            failures,
        }
    }

    /// Returns the names of the specs that fail through Envoy and pass directly.
    pub fn ours(&self) -> Vec<&str> {
        let ours = self.failures.iter().filter(|failure| failure.is_ours());
        ours.map(|failure| failure.name.as_str()).collect()
    }

    /// Returns how many specs passed through Envoy.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Returns the figures for a report.
    pub fn to_json(&self) -> Value {
        let failures = self.failures.iter().map(|failure| {
            let directly = match failure.directly {
                Outcome::Passed => "passed",
                Outcome::Failed => "failed",
                Outcome::SkippedItself | Outcome::LeftOut => "did not run",
            };
            json!({ "spec": failure.name, "directly": directly, "message": failure.message })
        });
        json!({
            "pair": self.pair.to_string(),
            "seconds": self.time.as_secs(),
            "passed": self.passed,
            "failed": self.failures.len(),
            "failedOnlyThroughEnvoy": self.ours().len(),
            "skippedThemselves": self.skipped,
            "leftOut": self.left_out,
            "failures": failures.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, what: &str, count: usize| {
            writeln!(f, "  {what:<42}{count:>6}")
        };
        writeln!(f, "{} through Envoy, {} s", self.pair, self.time.as_secs())?;
        row(f, "passed", self.passed)?;
        row(f, "failed", self.failures.len())?;
        row(f, "  of these, passed directly", self.ours().len())?;
        row(f, "skipped themselves", self.skipped)?;
        row(f, "left out (integration/e2e/selection.yaml)", self.left_out)?;
        for failure in &self.failures {
            let directly = if failure.is_ours() { "passes directly" } else { "fails directly too" };
            let message = failure.message.split_whitespace().collect::<Vec<_>>().join(" ");
            let message: String = message.chars().take(MESSAGE).collect();
            writeln!(f, "\n  {directly}: {}\n      {message}", failure.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, Summary};
    use crate::spec::{Outcome, Spec};

    #[test]
    fn a_spec_that_fails_through_envoy_and_passes_directly_fails_the_run() {
        let spec = |name: &str, outcome| Spec {
            name: name.to_owned(),
            outcome,
            time: Duration::ZERO,
            message: String::new(),
        };
        let specs =
            [spec("a", Outcome::Passed), spec("b", Outcome::Failed), spec("c", Outcome::Failed)];
        let failure = |name: &str, directly| Failure {
            name: name.to_owned(),
            message: "so".to_owned(),
            directly,
        };
        let failures = vec![failure("b", Outcome::Passed), failure("c", Outcome::Failed)];
        let pair = "1.35+1.36".parse().unwrap();
        let summary = Summary::new(pair, &specs, failures, Duration::from_secs(7));
        assert_eq!(summary.ours(), ["b"]);
        assert_eq!(summary.to_json()["failedOnlyThroughEnvoy"], 1);
        let text = summary.to_string();
        assert!(text.contains("passes directly: b") && text.contains("fails directly too: c"));
    }
}
