//! The section on strict 404s.

use std::time::Duration;

use super::build::duration;
use super::reader::{FaultLog, Section};

/// With less a question that has to wait for its turn (`peer::prober`) would go
/// unanswered, and many questions at once would leave everybody unprotected.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How the filter asks whether a type is really served by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictNotFound {
    /// The Envoy cluster of the companion's endpoint.
    pub cluster: String,
    /// How long an answer is held for that.
    pub timeout: Duration,
    /// What happens when the companion does not answer in that time.
    pub on_no_answer: OnNoAnswer,
}

/// What becomes of a 404 about which the companion said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNoAnswer {
    /// It passes.
    Original,
    /// It becomes a 503.
    Unavailable,
}

impl StrictNotFound {
    /// As the map says it.
    #[must_use]
    pub fn in_the_map(&self) -> discovery_map::StrictNotFound {
        discovery_map::StrictNotFound {
            cluster: self.cluster.clone(),
            // The configuration bounds it.
            timeout_milliseconds: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            passes_unanswered: self.on_no_answer == OnNoAnswer::Original,
        }
    }
}

/// None in the outer option: a fault; in the inner one: not wanted.
pub(super) fn strict_not_found(
    mut section: Section<'_>,
    log: &FaultLog,
) -> Option<Option<StrictNotFound>> {
    let enabled = section.flag("enabled", true);
    let cluster = section.or_default("cluster", "mixed-version-companion".to_owned(), |text| {
        let graphic = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match graphic && text.len() <= 100 {
            true => Ok(text.to_owned()),
            false => Err("must be 1 to 100 visible ASCII characters".to_owned()),
        }
    });
    let place = section.place("cluster");
    if let Some(name) = &cluster
        && name.ends_with(discovery_map::FRONT_PROXY_SUFFIX)
    {
        log.add(place, format!("must not end in {:?}", discovery_map::FRONT_PROXY_SUFFIX));
    }
    let timeout = section.or_default("timeout", Duration::from_secs(1), |text| {
        duration(text, MIN_TIMEOUT, Duration::from_secs(10))
    });
    let on_no_answer = section.or_default("onNoAnswer", OnNoAnswer::Original, |text| match text {
        "original" => Ok(OnNoAnswer::Original),
        "unavailable" => Ok(OnNoAnswer::Unavailable),
        _ => Err("must be original or unavailable".to_owned()),
    });
    section.finish(&["enabled", "cluster", "timeout", "onNoAnswer"]);
    let (enabled, cluster, timeout, on_no_answer) = (enabled?, cluster?, timeout?, on_no_answer?);
    Some(enabled.then_some(StrictNotFound { cluster, timeout, on_no_answer }))
}
