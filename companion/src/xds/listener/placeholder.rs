//! The name of a control plane in a template.

use serde_json::Value;

/// What stands for the name of a control plane.
pub const PLACEHOLDER: &str = "${control_plane}";

/// Returns the value with the name of a control plane in place of each placeholder.
pub fn substituted(value: &Value, control_plane: &str) -> Value {
    let replaced = |text: &str| text.replace(PLACEHOLDER, control_plane);
    match value {
        Value::String(text) => replaced(text).into(),
        Value::Array(entries) => {
            entries.iter().map(|entry| substituted(entry, control_plane)).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| (replaced(key), substituted(field, control_plane)))
            .collect(),
        other => other.clone(),
    }
}

/// Returns whether two control planes can never give the same text: the placeholder is in it, and
/// nothing beside it can belong to a name. `${control_plane}x` of `a` is that of `ax`.
pub fn is_own(text: &str) -> bool {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    text.match_indices(PLACEHOLDER).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(PLACEHOLDER).unwrap_or_default();
        !before.ends_with(in_name) && !after.starts_with(in_name)
    })
}

/// Returns whether the text is the name of a cluster of the control plane.
pub fn is_own_cluster(text: &str) -> bool {
    text.strip_prefix(PLACEHOLDER).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
