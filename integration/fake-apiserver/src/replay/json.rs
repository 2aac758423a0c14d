//! Reads JSON whose fields may be missing, and writes documents.

use serde_json::Value;

/// Returns the elements of the array `field`; none if it is missing.
pub(super) fn array<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// Returns the string `field`; empty if it is missing.
pub(super) fn string<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the bytes of a document.
pub(super) fn to_body(document: &Value) -> Vec<u8> {
    let mut body = document.to_string().into_bytes();
    body.push(b'\n');
    body
}

/// Returns the array `field` to change it.
pub(super) fn array_mut<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    value.get_mut(field)?.as_array_mut()
}
