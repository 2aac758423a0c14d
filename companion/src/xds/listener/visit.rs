//! Every field of a YAML document, with its place.

use serde_json::Value;

/// A field, and where it is.
pub struct Field<'v> {
    pub place: String,
    pub key: &'v str,
    pub value: &'v Value,
    /// The fields beside it and itself.
    pub beside: &'v Value,
}

/// Calls `see` for every field below `value`, which is at `place`.
pub fn fields<'v>(place: &str, value: &'v Value, see: &mut impl FnMut(&Field<'v>)) {
    match value {
        Value::Object(entries) => {
            for (key, field) in entries {
                let at = below(place, key);
                see(&Field { place: at.clone(), key, value: field, beside: value });
                fields(&at, field, see);
            }
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                fields(&format!("{place}[{index}]"), entry, see);
            }
        }
        _ => {}
    }
}

/// Calls `see` for every text below `value`, keys included.
pub fn texts<'v>(place: &str, value: &'v Value, see: &mut impl FnMut(&str, &'v str)) {
    match value {
        Value::String(text) => see(place, text),
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                texts(&format!("{place}[{index}]"), entry, see);
            }
        }
        Value::Object(entries) => {
            for (key, field) in entries {
                let at = below(place, key);
                see(&at, key);
                texts(&at, field, see);
            }
        }
        _ => {}
    }
}

/// Returns the place of a field.
pub fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// Returns a key as YAML for Envoy is written. Envoy also reads `statPrefix` as `stat_prefix`.
pub fn snake_case(key: &str) -> String {
    let mut snake = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
