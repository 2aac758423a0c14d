//! The gate of an upgrade: what must be true before the next server is taken down.
//!
//! ```text
//!  facts ─────▶ orphans   would a type have no server?
//!  envoys ────▶ envoys    is every Envoy on the current map?
//!  missing, stored
//!            ┬▶ storage   is anything stored that the next version drops?
//!            └▶ rollback  would a rollback leave objects that no server serves?
//! ```

pub mod envoys;
pub mod missing;
pub mod orphans;
pub mod rollback;
pub mod storage;
pub mod stored;

use serde::Serialize;

use crate::screen::Screen;
use crate::table::{Cell, Table, Tone};

/// Whether a script may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Yes,
    /// Yes, but someone should know this.
    Warning,
    /// It could not be found out.
    Unknown,
    No,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    Orphans,
    Envoys,
    Storage,
    Rollback,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub check: Check,
    pub verdict: Verdict,
    /// What it is about: a peer, an Envoy, a type. Empty if about all.
    pub subject: String,
    pub reason: String,
    /// The types that are meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Since when it is so, in seconds since 1970, if the companion's history has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_unix_seconds: Option<u64>,
    /// The number of objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
}

/// All findings, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    findings: Vec<Finding>,
}

impl Verdict {
    fn text(self) -> (&'static str, Tone) {
        match self {
            Self::Yes => ("yes", Tone::Good),
            Self::Warning => ("warning", Tone::Heading),
            Self::Unknown => ("unknown", Tone::Bad),
            Self::No => ("no", Tone::Bad),
        }
    }
}

impl Check {
    fn text(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Envoys => "envoys",
            Self::Storage => "storage",
            Self::Rollback => "rollback",
        }
    }
}

impl Finding {
    /// Returns a finding that names no types.
    pub fn new(check: Check, verdict: Verdict, subject: &str, reason: impl Into<String>) -> Self {
        let (subject, reason) = (subject.to_owned(), reason.into());
        let (types, since_unix_seconds, objects) = (Vec::new(), None, None);
        Self { check, verdict, subject, reason, types, since_unix_seconds, objects }
    }
}

impl Report {
    /// Puts findings together. The worst one decides.
    pub fn new(findings: Vec<Finding>) -> Self {
        let worst = findings.iter().map(|finding| finding.verdict).max();
        Self { verdict: worst.unwrap_or(Verdict::Unknown), findings }
    }

    /// Writes the report for people.
    pub fn text(&self, screen: &Screen) -> String {
        let mut table = Table::new(["CHECK", "GO ON", "SUBJECT", "REASON"]);
        for Finding { check, verdict, subject, reason, .. } in &self.findings {
            let (text, tone) = verdict.text();
            let subject = if subject.is_empty() { "-" } else { subject };
            let verdict = Cell::new(text, tone);
            table.push(vec![check.text().into(), verdict, subject.into(), reason.clone().into()]);
        }
        // Reasons are read to their end.
        table.render(&Screen { width: None, ..*screen }, 3)
    }
}

/// Returns the beginning of a list, for a sentence.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn types(count: usize) -> String {
    if count == 1 { "1 type".to_owned() } else { format!("{count} types") }
}

#[cfg(test)]
mod tests;
