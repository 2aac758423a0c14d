//! In what two documents differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// Returns every place in which the two differ, below `place`, with both values.
pub fn differences(one: &Value, other: &Value, place: &str) -> Vec<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let of = |fields: &serde_json::Map<String, Value>, key: &str| {
                fields.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter()
                .flat_map(|key| differences(&of(a, key), &of(b, key), &format!("{place}/{key}")))
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(index, (a, b))| differences(a, b, &format!("{place}/{index}")))
            .collect(),
        _ if one == other => Vec::new(),
        _ => vec![format!("{place}: {one} ≠ {other}")],
    }
}
