//! Is every Envoy on the current map?

use super::{Check, Finding, Verdict, listed};
use crate::facts::{Envoy, Envoys};
use crate::table::age;

/// The type that carries the map, by its name in `/v1/envoys`.
const MAP: &str = "filter";

/// Says that nothing is known of Envoys.
pub fn unknown() -> Vec<Finding> {
    let reason = "nothing is known of Envoys without a companion";
    vec![Finding::new(Check::Envoys, Verdict::Warning, "", reason)]
}

/// Checks each Envoy that is served over ADS.
pub fn check(known: &Envoys) -> Vec<Finding> {
    let finding = |verdict, subject: &str, reason: String| {
        Finding::new(Check::Envoys, verdict, subject, reason)
    };
    if known.versions.is_empty() && known.envoys.is_empty() {
        let reason = "the companion serves no Envoy over ADS; an Envoy that reads its files has the map at once";
        return vec![finding(Verdict::Yes, "", reason.to_owned())];
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
        1 => "the only Envoy has the current map".to_owned(),
        count => format!("all {count} Envoys have the current map"),
    };
    vec![finding(Verdict::Yes, "", reason)]
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
