//! Is every Envoy on the current map?

use anyhow::Result;
use http::Uri;

use super::{Check, Finding, Verdict, listed};
use crate::facts::{Envoy, Envoys};
use crate::table::age;

/// The type that carries the map, by its name in `/v1/envoys`.
const MAP: &str = "filter";

/// Says that nothing is known of Envoys.
pub fn unknown() -> Vec<Finding> {
    let reason = "Envoys cannot be checked without a companion";
    vec![Finding::new(Check::Envoys, Verdict::Warning, "", reason)]
}

/// Checks the generation of the map that an Envoy has. `current` is that of the companion's.
pub fn of_generation(url: &Uri, found: Result<u64>, current: u64) -> Finding {
    let finding =
        |verdict, reason: String| Finding::new(Check::Envoys, verdict, &url.to_string(), reason);
    match found {
        Ok(own) if own == current => finding(Verdict::Yes, "has the current map".to_owned()),
        // With maps of several control planes, the metric has no generation.
        Ok(0) => finding(
            Verdict::Unknown,
            "has no map yet, or maps of several control planes".to_owned(),
        ),
        Ok(own) => finding(
            Verdict::No,
            format!("has the map of generation {own}, and the companion published {current}"),
        ),
        Err(error) => finding(Verdict::Unknown, format!("{error:#}")),
    }
}

/// Checks each Envoy that the companion serves over ADS.
pub fn check(known: &Envoys) -> Vec<Finding> {
    let finding = |verdict, subject: &str, reason: String| {
        Finding::new(Check::Envoys, verdict, subject, reason)
    };
    if known.is_without_ads() {
        let reason = "the companion does not know whether Envoys that read its files use the current map: name them with --envoy";
        return vec![finding(Verdict::Warning, "", reason.to_owned())];
    }
    let behind = known.envoys.iter().filter_map(|envoy| {
        let reason = reason(envoy, known)?;
        let node = if envoy.node.is_empty() { "(unnamed)" } else { &envoy.node };
        Some(finding(Verdict::No, node, reason))
    });
    let behind: Vec<_> = behind.collect();
    if !behind.is_empty() {
        return behind;
    }
    let reason = match known.envoys.len() {
        0 => return vec![finding(Verdict::Warning, "", "no Envoy is connected".to_owned())],
        1 => "the only Envoy of this companion has the current map".to_owned(),
        count => format!("all {count} Envoys of this companion have the current map"),
    };
    vec![finding(Verdict::Yes, "", reason)]
}

/// Says that other companions serve Envoys, too.
pub fn of_others(count: usize) -> Finding {
    let (companions, are) = if count == 1 { ("companion", "is") } else { ("companions", "are") };
    let reason = format!(
        "{count} more {companions} {are} ready, and their Envoys are not checked: name each with --companion-pod"
    );
    Finding::new(Check::Envoys, Verdict::Warning, "", reason)
}

/// Returns what an Envoy lacks.
fn reason(envoy: &Envoy, known: &Envoys) -> Option<String> {
    let expected = envoy.expected_versions.as_ref().unwrap_or(&known.versions);
    // An Envoy has no listeners over ADS if its own configuration has them.
    let lacks = expected.iter().filter(|(kind, version)| match envoy.versions.get(*kind) {
        Some(own) => own != *version,
        None => *kind == MAP,
    });
    let lacks: Vec<_> = lacks.map(|(kind, _)| kind.clone()).collect();
    if lacks.is_empty() {
        return None;
    }
    let refusal = envoy.last_refusal.as_ref().map(|refusal| {
        let (since, kind) = (age(refusal.seconds_ago), &refusal.r#type);
        format!("; it refused {kind} {since} ago: {}", refusal.reason)
    });
    let what = if envoy.mirror { "the mirror" } else { "it" };
    let refusal = refusal.unwrap_or_default();
    Some(format!("{what} has not acknowledged the current {}{refusal}", listed(&lacks)))
}
