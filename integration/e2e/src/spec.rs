//! What ginkgo reports of each spec.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

/// How a spec ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, or did not end.
    Failed,
    /// It ran and found that it does not fit this cluster.
    SkippedItself,
    /// It did not run: it is not selected, or not finished upstream.
    LeftOut,
}

/// One spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its whole name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it ran.
    pub time: Duration,
    /// Why it failed or skipped itself.
    pub message: String,
}

/// Reads ginkgo's JSON report. Fails if the file cannot be read or is not a report.
pub fn read(file: &Path) -> Result<Vec<Spec>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    of_report(&text).with_context(|| format!("{} is not a report", file.display()))
}

fn of_report(text: &[u8]) -> Result<Vec<Spec>> {
    let suites: Vec<Suite> = serde_json::from_slice(text)?;
    let nodes = suites.into_iter().flat_map(|suite| suite.spec_reports.unwrap_or_default());
    // Setup and cleanup of the suite are reported in the same list.
    Ok(nodes.filter(|node| node.leaf_node_type == "It" || node.failed()).map(Node::spec).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Option<Vec<Node>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    #[serde(default)]
    num_attempts: u64,
    /// In nanoseconds.
    #[serde(default)]
    run_time: u64,
    #[serde(default)]
    failure: Failure,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

impl Node {
    fn failed(&self) -> bool {
        !matches!(self.state.as_str(), "passed" | "skipped" | "pending")
    }

    fn spec(self) -> Spec {
        let outcome = match self.state.as_str() {
            "passed" => Outcome::Passed,
            "skipped" if self.num_attempts > 0 => Outcome::SkippedItself,
            "skipped" | "pending" => Outcome::LeftOut,
            _ => Outcome::Failed,
        };
        let mut texts = self.container_hierarchy_texts.unwrap_or_default();
        let own =
            if self.leaf_node_text.is_empty() { self.leaf_node_type } else { self.leaf_node_text };
        texts.push(own);
        Spec {
            name: texts.join(" "),
            outcome,
            time: Duration::from_nanos(self.run_time),
            message: self.failure.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Outcome, of_report};

    #[test]
    fn each_state_has_its_outcome() {
        let node = |kind: &str, state: &str, attempts: u64| {
            json!({
                "ContainerHierarchyTexts": ["[sig-x] A", "when b"], "LeafNodeType": kind,
                "LeafNodeText": "does c", "State": state, "NumAttempts": attempts,
                "RunTime": 2_000_000_000_u64, "Failure": { "Message": "why" },
            })
        };
        let report = json!([{ "SpecReports": [
            node("It", "passed", 1), node("It", "panicked", 1), node("It", "skipped", 1),
            node("It", "skipped", 0), node("It", "pending", 0),
            node("ReportAfterSuite", "passed", 1), node("BeforeSuite", "failed", 1),
        ] }]);
        let specs = of_report(report.to_string().as_bytes()).unwrap();
        let outcomes: Vec<_> = specs.iter().map(|spec| spec.outcome).collect();
        let (failed, out) = (Outcome::Failed, Outcome::LeftOut);
        let wanted = [Outcome::Passed, failed, Outcome::SkippedItself, out, out, failed];
        assert_eq!(outcomes, wanted);
        assert_eq!(specs[0].name, "[sig-x] A when b does c");
        assert_eq!(specs[0].time.as_secs(), 2);
        assert!(of_report(b"{}").is_err());
    }
}
