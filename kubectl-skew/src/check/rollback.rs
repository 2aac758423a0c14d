//! Would a rollback leave objects that no server serves?

use super::storage::{FLAG, Stored, WRONG_SERVER, objects};
use super::{Check, Finding, Verdict};
use crate::control_plane::Count;

/// Checks the types that are missing `at` the older version, with the number of their objects. `strict`: a
/// rollback is what is asked about.
pub fn check(at: &str, newer: &[Stored], strict: bool) -> Vec<Finding> {
    let stranded = if strict { Verdict::No } else { Verdict::Warning };
    let found = newer.iter().filter_map(|one| {
        let finding =
            |verdict, reason: String| Finding::new(Check::Rollback, verdict, &one.name, reason);
        let count = match &one.count {
            Count::Some(0) | Count::NotListable => return None,
            Count::Some(count) => *count,
            Count::NotServed => return Some(finding(Verdict::Unknown, WRONG_SERVER.to_owned())),
            Count::Failed(error) => {
                return Some(finding(Verdict::Unknown, format!("cannot be listed: {error}")));
            }
        };
        let (verdict, unless) = if one.is_optional {
            (Verdict::Warning, format!(" unless {FLAG}"))
        } else {
            (stranded, String::new())
        };
        let (objects, are) = (objects(count), if count == 1 { "is" } else { "are" });
        let reason = format!(
            "is not served by {at}{unless}: after a rollback, its {objects} {are} stranded"
        );
        let types = vec![one.name.clone()];
        Some(Finding { types, objects: Some(count), ..finding(verdict, reason) })
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        let reason = match newer.len() {
            0 => format!("every type is served by {at}, too"),
            1 => format!("the only type that is not served by {at} has no objects"),
            count => format!("the {count} types that are not served by {at} have no objects"),
        };
        return vec![Finding::new(Check::Rollback, Verdict::Yes, "", reason)];
    }
    found
}
