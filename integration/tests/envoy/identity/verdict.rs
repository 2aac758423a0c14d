//! Compares the answers with the requests that arrived.

use std::collections::BTreeMap;

use wire::capture::CapturedRequest;

use super::corpus::{Case, Fate, Sent, Who};
use super::judge::{self, Expected};
use super::run::Outcome;

/// Returns everything that went wrong: what arrived and should not have, or not so,
/// what should have arrived, and requests that were neither refused nor arrived.
pub fn faults(
    cases: &[Case],
    outcomes: &[Outcome],
    records: &BTreeMap<Option<usize>, Vec<CapturedRequest>>,
    expected: &BTreeMap<Who, Expected>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for ((case, outcome), number) in cases.iter().zip(outcomes).zip(0..) {
        let arrived = records.get(&Some(number)).map(Vec::as_slice).unwrap_or_default();
        let Some(expected) = expected.get(&case.who) else { continue };
        for record in arrived {
            for fault in judge::faults(record, expected, case.paths()) {
                faults.push(format!("{}: {fault} arrived", case.name));
            }
        }
        let must = matches!(case.fate, Fate::Must(_));
        if arrived.is_empty() && (must || !is_refusal(case, outcome)) {
            faults.push(format!("{}: nothing arrived, but {outcome:?}", case.name));
        }
    }
    for record in records.get(&None).map(Vec::as_slice).unwrap_or_default() {
        faults.push(format!("a request that no test sent arrived: {record:?}"));
    }
    let numbers = records.keys().flatten().filter(|&&number| number >= cases.len());
    faults.extend(numbers.map(|number| format!("a request of case {number} arrived")));
    faults
}

/// Returns whether the client was refused, or got nothing because it had not sent everything.
fn is_refusal(case: &Case, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused => true,
        // 501: Envoy knows no other transfer coding than chunked. 503: it has no
        // route for CONNECT.
        Outcome::Answered(statuses) => statuses.iter().all(|status| match status {
            400..=499 | 501 => true,
            503 => case.name.contains("CONNECT"),
            _ => false,
        }),
        Outcome::Silence => matches!(&case.sent, Sent::One { answers: 2, .. }),
    }
}
