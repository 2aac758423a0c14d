//! How a result is written: as a table for people, or as JSON or YAML, with the same fields, for
//! programs.

use anyhow::Result;
use serde::Serialize;

use crate::args::Format;

/// Returns a result in a format. `table` writes the table, with more columns if it gets `true`.
pub fn render(
    format: Format,
    value: &impl Serialize,
    table: impl FnOnce(bool) -> String,
) -> Result<String> {
    match format {
        Format::Table => Ok(table(false)),
        Format::Wide => Ok(table(true)),
        Format::Json => json(value),
        Format::Yaml => yaml(value),
    }
}

/// Returns JSON, indented.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn yaml(value: &impl Serialize) -> Result<String> {
    let text = serde_saphyr::to_string(value)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
