//! The table of supported versions in `README.md`, made from the reports of a run of the matrix on
//! each version of Envoy.
//!
//! ```text
//!   target/support-matrix/1.39.json ─┐
//!   target/support-matrix/1.40.json ─┴▶ table ──▶ README.md, between two marks
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use serde_json::Value;

use crate::skew;

/// The table is between these lines.
pub const MARKS: [&str; 2] = ["<!-- support matrix -->\n", "<!-- end of support matrix -->\n"];

/// What a run of the matrix found with one version of Envoy.
#[derive(Debug)]
pub struct Report {
    /// Such as `1.40`.
    pub envoy: String,
    /// What the tests reported (`harness::report`).
    pub entries: Value,
}

/// A table, and what does not work.
#[derive(Debug, Default)]
pub struct Table {
    /// The table in Markdown.
    pub text: String,
    /// Each cell that failed, with its reason.
    pub failures: Vec<String>,
}

/// Reads the reports in a folder, oldest Envoy first. Fails if a file is not a report.
pub fn read(folder: &Path) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let envoy = path.file_stem().context("no name")?.to_string_lossy().into_owned();
        let entries = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| path.display().to_string())?;
        reports.push(Report { envoy, entries });
    }
    ensure!(!reports.is_empty(), "{} has no reports", folder.display());
    reports.sort_by_key(|report| minor_of(&report.envoy));
    Ok(reports)
}

fn minor_of(version: &str) -> Option<u32> {
    version.split_once('.')?.1.parse().ok()
}

/// Makes the table: a row for each combination of versions of Kubernetes, a column for each Envoy.
pub fn table(reports: &[Report]) -> Table {
    let mut table = Table::default();
    let mut row = |cells: Vec<String>| {
        let _ = writeln!(table.text, "| {} |", cells.join(" | "));
    };
    let envoys = reports.iter().map(|report| format!("Envoy {}", report.envoy));
    row(std::iter::once("API servers".to_owned()).chain(envoys).collect());
    row(vec!["---".to_owned(); reports.len() + 1]);
    let mut failures = Vec::new();
    for versions in skew::matrix() {
        let name = skew::name(&versions);
        let cells = reports.iter().map(|report| {
            let found = report.cell(&name);
            found.unwrap_or_else(|reason| {
                failures.push(format!("{name} with Envoy {}: {reason}", report.envoy));
                "fails".to_owned()
            })
        });
        row(std::iter::once(name.replace('+', ", ")).chain(cells).collect());
    }
    table.failures = failures;
    table
}

impl Report {
    /// Returns what is in the cell of a combination, or why it failed.
    fn cell(&self, combination: &str) -> Result<String, String> {
        let found =
            self.entries.pointer("/cluster_matrix").and_then(|entry| entry.get(combination));
        let found = found.ok_or("the test did not get there")?;
        if let Some(reason) = found.get("failed").and_then(Value::as_str) {
            return Err(reason.to_owned());
        }
        // Only from one version to the next, as Kubernetes is upgraded.
        let upgrade = if combination == skew::name(&Version::NEWEST_PAIR) {
            "cluster_answering".to_owned()
        } else {
            format!("cluster_answering_{combination}")
        };
        match self.entries.get(&upgrade).and_then(|entry| entry.get("passed")) {
            None => Ok("yes".to_owned()),
            Some(Value::Bool(true)) => Ok("yes, upgrade and rollback under load too".to_owned()),
            Some(_) => Err(format!("{upgrade} failed")),
        }
    }
}

/// Replaces the table in a document. Fails if the document has no place for it.
pub fn replace(document: &str, table: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let (before, rest) =
        document.split_once(begin).context("the document has no begin of a table")?;
    let (_, after) = rest.split_once(end).context("the document has no end of a table")?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::artifacts::integration_folder;

    fn report(envoy: &str, entries: Value) -> Report {
        Report { envoy: envoy.to_owned(), entries }
    }

    fn passed() -> Value {
        let figures = skew::matrix().iter().map(|one| (skew::name(one), json!({}))).collect();
        json!({ "cluster_matrix": Value::Object(figures) })
    }

    #[test]
    fn each_combination_has_a_row_and_each_envoy_a_column() {
        let table = table(&[report("1.39", passed()), report("1.40", passed())]);
        assert_eq!(table.failures, Vec::<String>::new());
        assert!(
            table.text.starts_with("| API servers | Envoy 1.39 | Envoy 1.40 |\n"),
            "{}",
            table.text
        );
        assert_eq!(table.text.lines().count(), skew::matrix().len() + 2);
    }

    #[test]
    fn what_failed_or_did_not_run_is_not_called_supported() {
        let mut entries = passed();
        entries["cluster_matrix"]["1.36+1.37"] = json!({ "failed": "a wrong 404" });
        entries["cluster_matrix"].as_object_mut().unwrap().remove("1.35+1.36");
        let table = table(&[report("1.40", entries)]);
        assert!(table.text.contains("| 1.36, 1.37 | fails |"), "{}", table.text);
        assert_eq!(
            table.failures,
            [
                "1.35+1.36 with Envoy 1.40: the test did not get there",
                "1.36+1.37 with Envoy 1.40: a wrong 404",
            ]
        );
    }

    #[test]
    fn an_upgrade_that_failed_fails_its_pair() {
        let mut entries = passed();
        entries["cluster_answering_1.35+1.36"] = json!({ "passed": true });
        entries["cluster_answering"] = json!({ "passed": false });
        let table = table(&[report("1.40", entries)]);
        assert!(table.text.contains("| 1.35, 1.36 | yes, upgrade"), "{}", table.text);
        assert_eq!(table.failures, ["1.36+1.37 with Envoy 1.40: cluster_answering failed"]);
    }

    #[test]
    fn reports_are_in_the_order_of_versions() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1.100.json", "1.39.json"] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        let found: Vec<_> = read(folder.path()).unwrap().into_iter().map(|one| one.envoy).collect();
        assert_eq!(found, ["1.39", "1.100"]);
    }

    #[test]
    fn the_readme_says_that_each_combination_works_with_each_supported_envoy() {
        let checkout = integration_folder().join("..");
        let readme = fs::read_to_string(checkout.join("README.md")).unwrap();
        assert!(replace(&readme, "").is_ok());
        let envoys = std::process::Command::new(checkout.join("tools/envoy"))
            .arg("--versions")
            .output()
            .unwrap();
        let envoys = String::from_utf8(envoys.stdout).unwrap();
        let heads: String = envoys.lines().map(|envoy| format!(" Envoy {envoy} |")).collect();
        assert!(readme.contains(&format!("| API servers |{heads}\n")), "not all Envoys: {envoys}");
        for versions in skew::matrix() {
            let name = skew::name(&versions).replace('+', ", ");
            let row = readme.lines().find_map(|line| line.strip_prefix(&format!("| {name} |")));
            let cells: Vec<_> = row.unwrap_or_default().trim_end_matches('|').split('|').collect();
            assert_eq!(cells.len(), envoys.lines().count(), "{name}: {cells:?}");
            assert!(cells.iter().all(|cell| cell.trim().starts_with("yes")), "{name}: {cells:?}");
        }
    }
}
