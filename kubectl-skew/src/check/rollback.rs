//! Would a rollback leave objects that no server serves?

use super::stored::{FLAG, Stored};
use super::{Check, Finding, Verdict};

/// Checks the types that are missing `at` the older version, with the number of their objects. `strict`: a
/// rollback is what is asked about.
pub fn check(at: &str, newer: &[Stored], strict: bool) -> Vec<Finding> {
    let stranded = if strict { Verdict::No } else { Verdict::Warning };
    let of_newer = |one: &Stored| {
        one.finding(Check::Rollback, |objects, is_one| {
            let (verdict, unless) = if one.is_optional {
                (Verdict::Warning, format!(" unless {FLAG}"))
            } else {
                (stranded, String::new())
            };
            let are = if is_one { "is" } else { "are" };
            let reason = format!(
                "is not served by {at}{unless}: after a rollback, its {objects} {are} stranded"
            );
            (verdict, reason)
        })
    };
    let found: Vec<_> = newer.iter().filter_map(of_newer).collect();
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
