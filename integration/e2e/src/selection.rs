//! Which specs of the suite run: `integration/e2e/selection.yaml`.

use std::fs;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::artifacts::integration_folder;
use serde::Deserialize;

/// The file, relative to `integration/`.
const FILE: &str = "e2e/selection.yaml";

/// Specs, by regular expressions (Go's) that match a part of their names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Selection {
    /// Specs run if one of these matches their names,
    pub run: Vec<String>,
    /// and none of these does.
    pub left_out: Vec<LeftOut>,
    /// The specs of the short form, likewise; `left_out` does not apply to them.
    pub short: Vec<String>,
}

/// Specs that do not run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Expressions that match them.
    pub specs: Vec<String>,
    /// Why they cannot test the proxy here.
    pub reason: String,
    /// The older version of the pairs in which they do not run. Without one, they run in no pair.
    #[serde(default)]
    pub older: Option<String>,
}

impl Selection {
    /// Reads the file. Fails if it cannot be read or is not a selection.
    pub fn read() -> Result<Self> {
        let path = integration_folder().join(FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let selection: Self = serde_saphyr::from_str(&text).context(FILE)?;
        for left_out in &selection.left_out {
            ensure!(!left_out.reason.trim().is_empty(), "{FILE}: {left_out:?} has no reason");
        }
        Ok(selection)
    }

    /// Returns the expressions of all specs that are left out in a pair with this older version.
    pub fn skips(&self, older: Version) -> Vec<String> {
        let older = older.to_string();
        let is_for = |left_out: &&LeftOut| left_out.older.as_ref().is_none_or(|own| *own == older);
        let left_out = self.left_out.iter().filter(is_for);
        left_out.flat_map(|left_out| left_out.specs.iter().cloned()).collect()
    }
}

/// Returns the expression that matches exactly this name.
pub fn exactly(name: &str) -> String {
    let mut expression = String::new();
    for character in name.chars() {
        if character.is_ascii_punctuation() {
            expression.push('\\');
        }
        expression.push(character);
    }
    // Ginkgo matches it against the suite's name followed by the spec's.
    format!("{expression}$")
}

#[cfg(test)]
mod tests {
    use fake_apiserver::Version;

    use super::{LeftOut, Selection, exactly};

    #[test]
    fn the_shipped_selection_is_valid() {
        let selection = Selection::read().unwrap();
        assert_eq!(selection.short.len(), 12);
        assert!(!selection.run.is_empty() && !selection.skips(Version::V1_36).is_empty());
    }

    #[test]
    fn specs_are_left_out_in_pairs_with_an_older_version() {
        let left_out = |older: Option<&str>, spec: &str| LeftOut {
            specs: vec![spec.to_owned()],
            reason: "a reason".to_owned(),
            older: older.map(str::to_owned),
        };
        let left_out = vec![left_out(None, "always"), left_out(Some("1.35"), "in 1.35")];
        let selection = Selection { run: Vec::new(), left_out, short: Vec::new() };
        assert_eq!(selection.skips(Version::V1_35), ["always", "in 1.35"]);
        assert_eq!(selection.skips(Version::V1_36), ["always"]);
    }

    #[test]
    fn a_name_is_escaped() {
        assert_eq!(exactly("[sig-cli] a.b c"), r"\[sig\-cli\] a\.b c$");
    }
}
