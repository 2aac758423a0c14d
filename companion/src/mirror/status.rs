//! What `/v1/mirror` shows.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

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
    /// How old the resources are: 0 while a companion is followed.
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
        let age = |confirmed| if self.companion.is_some() { 0 } else { seconds(confirmed) };
        StatusView {
            companion: self.companion.clone(),
            since_seconds: seconds(self.since),
            age_seconds: self.confirmed.map(age),
            resources: self.resources,
            last_problems: self.problems.clone(),
        }
    }
}
