//! The section `strictNotFound`.

use std::time::Duration;

use discovery_map::{FRONT_PROXY_SUFFIX, StrictNotFound};

use super::reader::{Faulty, Section};
use super::value::duration;

/// With less, a query that has to wait for its turn (the prober's rounds) would stay unanswered, and
/// many queries at once would protect no client.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// `None`: switched off.
pub(super) fn strict_not_found(mut section: Section<'_>) -> Result<Option<StrictNotFound>, Faulty> {
    let enabled = section.flag("enabled", true);
    let cluster = section.or_default("cluster", "mixed-version-companion", cluster);
    let timeout = section.or_default("timeout", "1s", duration(MIN_TIMEOUT, MAX_TIMEOUT));
    let on_no_answer = section.or_default("onNoAnswer", "original", passes_unanswered);
    section.finish();
    let (enabled, cluster, timeout, passes_unanswered) =
        (enabled?, cluster?, timeout?, on_no_answer?);
    // Bounded by `MAX_TIMEOUT`.
    let timeout_milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(enabled.then_some(StrictNotFound { cluster, timeout_milliseconds, passes_unanswered }))
}

fn cluster(name: &str) -> Result<String, String> {
    let graphic = name.bytes().all(|byte| byte.is_ascii_graphic());
    if !graphic || !(1..=100).contains(&name.len()) {
        return Err("must be 1 to 100 printable ASCII characters without spaces".to_owned());
    }
    if name.ends_with(FRONT_PROXY_SUFFIX) {
        return Err(format!("must not end with {:?}", FRONT_PROXY_SUFFIX));
    }
    Ok(name.to_owned())
}

fn passes_unanswered(text: &str) -> Result<bool, String> {
    match text {
        "original" => Ok(true),
        "unavailable" => Ok(false),
        _ => Err("must be original or unavailable".to_owned()),
    }
}
