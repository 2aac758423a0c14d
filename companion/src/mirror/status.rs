//! What `/v1/mirror` shows.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// A companion that is followed confirms what is kept at least as often: each minute, and ten seconds
/// after the stream began (`follow.rs`).
const CONFIRMS: Duration = Duration::from_secs(75);

/// The state of a mirror.
#[derive(Clone, Debug)]
pub struct Status {
    /// The companion that it follows.
    pub companion: Option<String>,
    /// Since when it follows that one, or none.
    pub since: SystemTime,
    /// When a companion last said what is kept. `None` if nothing is.
    pub confirmed: Option<SystemTime>,
    /// How many resources are kept.
    pub resources: usize,
    /// The last problem with each companion.
    pub problems: BTreeMap<String, String>,
}

/// The same as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    companion: Option<String>,
    since_seconds: u64,
    /// How old the resources are: 0 while a companion is followed that says the same.
    age_seconds: Option<u64>,
    resources: usize,
    last_problems: BTreeMap<String, String>,
}

impl Status {
    /// Returns the state of a mirror that has nothing.
    pub fn new() -> Self {
        let (companion, confirmed, problems) = (None, None, BTreeMap::new());
        Self { companion, since: SystemTime::now(), confirmed, resources: 0, problems }
    }

    /// Returns what is shown.
    pub fn view(&self) -> StatusView {
        let seconds = |time: SystemTime| time.elapsed().unwrap_or_default().as_secs();
        let age = |confirmed| match seconds(confirmed) {
            age if self.companion.is_some() && age < CONFIRMS.as_secs() => 0,
            age => age,
        };
        StatusView {
            companion: self.companion.clone(),
            since_seconds: seconds(self.since),
            age_seconds: self.confirmed.map(age),
            resources: self.resources,
            last_problems: self.problems.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_that_a_companion_does_not_confirm_grow_old() {
        let age = |companion: Option<&str>, seconds| {
            let mut status = Status::new();
            status.companion = companion.map(str::to_owned);
            status.confirmed = Some(SystemTime::now() - Duration::from_secs(seconds));
            status.view().age_seconds.unwrap()
        };
        assert_eq!(age(Some("a"), 60), 0);
        assert!(age(Some("a"), 100) >= 100, "it says something else, or its set is incomplete");
        assert!(age(None, 60) >= 60);
    }
}
