//! The section `strictNotFound`.

use std::time::Duration;

use super::fault_log::Faulty;
use super::reader::Section;
use super::value::duration;

/// With less, a question that has to wait for its turn (the prober's rounds)
/// would stay unanswered, and many questions at once would protect nobody.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// How the filter asks whether really no peer serves a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictNotFound {
    /// The Envoy cluster of the companion's endpoint.
    pub cluster: String,
    /// How long the filter holds a 404 for the answer.
    pub timeout: Duration,
    /// What happens without an answer in that time.
    pub on_no_answer: OnNoAnswer,
}

/// What a 404 becomes about which the companion did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNoAnswer {
    /// It passes.
    Original,
    /// It becomes a 503.
    Unavailable,
}

impl StrictNotFound {
    /// Returns the map's form of it.
    pub fn in_the_map(&self) -> discovery_map::StrictNotFound {
        discovery_map::StrictNotFound {
            cluster: self.cluster.clone(),
            // Bounded by `MAX_TIMEOUT`.
            timeout_milliseconds: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            passes_unanswered: self.on_no_answer == OnNoAnswer::Original,
        }
    }
}

/// `None`: switched off.
pub(super) fn strict_not_found(mut section: Section<'_>) -> Result<Option<StrictNotFound>, Faulty> {
    let enabled = section.flag("enabled", true);
    let cluster = section.or_default("cluster", "mixed-version-companion", cluster);
    let timeout = section.or_default("timeout", "1s", duration(MIN_TIMEOUT, MAX_TIMEOUT));
    let on_no_answer = section.or_default("onNoAnswer", "original", on_no_answer);
    section.finish();
    let (enabled, cluster, timeout, on_no_answer) = (enabled?, cluster?, timeout?, on_no_answer?);
    Ok(enabled.then_some(StrictNotFound { cluster, timeout, on_no_answer }))
}

fn cluster(name: &str) -> Result<String, String> {
    let graphic = name.bytes().all(|byte| byte.is_ascii_graphic());
    if !graphic || !(1..=100).contains(&name.len()) {
        return Err("must be 1 to 100 printable ASCII characters without spaces".to_owned());
    }
    if name.ends_with(discovery_map::FRONT_PROXY_SUFFIX) {
        return Err(format!("must not end with {:?}", discovery_map::FRONT_PROXY_SUFFIX));
    }
    Ok(name.to_owned())
}

fn on_no_answer(text: &str) -> Result<OnNoAnswer, String> {
    match text {
        "original" => Ok(OnNoAnswer::Original),
        "unavailable" => Ok(OnNoAnswer::Unavailable),
        _ => Err("must be original or unavailable".to_owned()),
    }
}
