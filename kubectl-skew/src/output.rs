//! A result for programs: JSON or YAML, with the same fields.

use anyhow::Result;
use serde::Serialize;

/// Returns JSON, indented.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Returns YAML.
pub fn yaml(value: &impl Serialize) -> Result<String> {
    let text = serde_saphyr::to_string(value)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
