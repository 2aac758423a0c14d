//! Would a rollback leave objects that no server serves?

use super::{Check, Finding, Verdict};
use crate::control_plane::Count;

/// Checks types that only the newest servers serve, with the number of their objects. `strict`: a
/// rollback is what is asked about.
pub fn check(newer: &[(String, Count)], strict: bool) -> Vec<Finding> {
    let stranded = if strict { Verdict::No } else { Verdict::Warning };
    let found = newer.iter().filter_map(|(name, count)| match count {
        Count::Some(0) => None,
        Count::Some(objects) => {
            let (noun, verb) =
                if *objects == 1 { ("object", "is") } else { ("objects", "are") };
            let reason = format!(
                "only the newest servers serve it: after a rollback, its {objects} {noun} {verb} stranded",
            );
            let finding = Finding::new(Check::Rollback, stranded, name, reason);
            Some(Finding { types: vec![name.clone()], objects: Some(*objects), ..finding })
        }
        Count::NotServed => {
            let reason = "cannot be listed: the kubeconfig's server does not serve it; use a kubeconfig for Envoy";
            Some(Finding::new(Check::Rollback, Verdict::Unknown, name, reason))
        }
        Count::Failed(error) => {
            let reason = format!("cannot be listed: {error}");
            Some(Finding::new(Check::Rollback, Verdict::Unknown, name, reason))
        }
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        let reason = match newer.len() {
            0 => "no type is served by the newest servers only".to_owned(),
            count => format!("no object of the {count} types that only the newest servers serve"),
        };
        return vec![Finding::new(Check::Rollback, Verdict::Yes, "", reason)];
    }
    found
}
