//! What is wrong with an installation, what it leads to, and how to fix it.
//!
//! ```text
//!  companion: facts, Envoys, metrics (twice) ─┐
//!  control plane: ConfigMap, gates, clock,    ├─ Examined ── rules ── problems
//!    endpoints of its Service                 │
//!  kubeconfigs and audit logs ── bypass ──────┘
//! ```

mod bypass;
mod examined;
mod metrics;
mod rules;

use serde::Serialize;

pub use bypass::Bypass;
pub use examined::{ControlPlane, Examined, Problem};
pub use metrics::Metrics;

/// What the doctor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub problems: Vec<Problem>,
    /// What could not be examined, and why.
    pub not_examined: Vec<String>,
}

impl Diagnosis {
    /// Applies every rule.
    pub fn of(examined: &Examined) -> Self {
        let problems = rules::ALL.iter().flat_map(|rule| rule(examined)).collect();
        Self { problems, not_examined: examined.control_plane.unknown.clone() }
    }

    /// Writes the diagnosis for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Problem { rule, problem, leads_to, fix } in &self.problems {
            let lines = [("Problem", problem.as_str()), ("Leads to", leads_to), ("Fix", fix)];
            text.push_str(&format!("{rule}\n"));
            for (name, value) in lines {
                text.push_str(&format!("  {:<10}{value}\n", format!("{name}:")));
            }
            text.push('\n');
        }
        for unknown in &self.not_examined {
            text.push_str(&format!("Not examined: {unknown}\n"));
        }
        text.push_str(&match self.problems.len() {
            0 => "No problem found.\n".to_owned(),
            1 => "1 problem found.\n".to_owned(),
            count => format!("{count} problems found.\n"),
        });
        text
    }
}

#[cfg(test)]
mod tests;
