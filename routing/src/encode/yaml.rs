//! YAML, as kube-apiserver writes it (sigs.k8s.io/yaml): keys sorted, lists not
//! indented, and quotes only where a reader would take a plain string for
//! something else.
//!
//! That library writes strings of several lines as blocks, and text beyond ASCII as it
//! is. Here both are quoted: it means the same, and no discovery document has any.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Writes a document of JSON. Reads its lists item by item: with many custom resources a whole
/// document in memory would be many times its text, and a module's memory never shrinks.
pub(super) fn from_json(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json)?;
    if fields.is_empty() {
        return Ok(b"{}\n".to_vec());
    }
    // Without quotes and brackets, but with indentation.
    let mut out = String::with_capacity(json.len().saturating_add(json.len() / 2));
    for (name, value) in fields {
        write_name(&mut out, &name);
        let items: Vec<&RawValue> = if value.get().starts_with('[') {
            serde_json::from_str(value.get())?
        } else {
            Vec::new()
        };
        if items.is_empty() {
            write_value(&mut out, &serde_json::from_str(value.get())?, 0);
            continue;
        }
        out.push('\n');
        for item in items {
            write_item(&mut out, &serde_json::from_str(item.get())?, 0);
        }
    }
    Ok(out.into_bytes())
}

fn write_name(out: &mut String, name: &str) {
    write_string(out, name);
    out.push(':');
}

/// Writes the value of a field whose name stands in `column`.
fn write_value(out: &mut String, value: &Value, column: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            indent(out, column + 2);
            write_fields(out, fields, column + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                indent(out, column);
                write_item(out, item, column);
            }
        }
        scalar => {
            out.push(' ');
            write_scalar(out, scalar);
            out.push('\n');
        }
    }
}

/// Writes fields from `column` on, where the first one begins.
fn write_fields(out: &mut String, fields: &Map<String, Value>, column: usize) {
    for (position, (name, value)) in fields.iter().enumerate() {
        if position > 0 {
            indent(out, column);
        }
        write_name(out, name);
        write_value(out, value, column);
    }
}

/// Writes an item of a list whose dash stands in `column`.
fn write_item(out: &mut String, item: &Value, column: usize) {
    out.push_str("- ");
    match item {
        Value::Object(fields) if !fields.is_empty() => write_fields(out, fields, column + 2),
        Value::Array(items) if !items.is_empty() => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    indent(out, column + 2);
                }
                write_item(out, item, column + 2);
            }
        }
        scalar => {
            write_scalar(out, scalar);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, column: usize) {
    out.extend(std::iter::repeat_n(' ', column));
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_string(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
    }
}

fn write_string(out: &mut String, text: &str) {
    let printable = text.chars().all(|c| matches!(c, ' '..='~'));
    if !printable || is_something_else(text) {
        write_double_quoted(out, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Returns whether a reader could take this text for a boolean, a number, a date or
/// nothing, if it had no quotes.
fn is_something_else(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "yes", "true", "on", "n", "no", "false", "off", "null"];
    match text.bytes().next() {
        None => true,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => is_number_like(text),
        Some(_) => matches!(text, "~" | "<<"),
    }
}

/// Returns whether this is a number or a date in YAML 1.1. A few texts that only look
/// like one are quoted as well.
fn is_number_like(text: &str) -> bool {
    let plain = text.trim_start_matches(['+', '-']).replace('_', "");
    let is_integer = |(prefix, radix): (&str, u32)| {
        let digits = plain.strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
    };
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let is_date = plain.get(4..5) == Some("-")
        && plain.get(..4).is_some_and(|year| year.bytes().all(is_digit));
    let is_base_60 =
        plain.contains(':') && plain.bytes().all(|b| is_digit(b) || b":.".contains(&b));
    let is_float = matches!(&*plain.to_ascii_lowercase(), ".nan" | ".inf")
        || (plain.bytes().any(is_digit) && plain.parse::<f64>().is_ok());
    let radixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    is_date || is_base_60 || is_float || radixes.into_iter().any(is_integer)
}

/// Returns whether this text of printable ASCII means itself without quotes.
fn is_plain(text: &str) -> bool {
    const INDICATORS: &[char] =
        &['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`'];
    let begins_block = text
        .strip_prefix(['-', '?', ':'])
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    !text.starts_with(INDICATORS)
        && !begins_block
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

fn write_double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        let code = u32::from(c);
        // Writing to a string does not fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => out.write_str("\\n"),
            ' '..='~' => out.write_char(c),
            ..='\u{ff}' => write!(out, "\\x{code:02X}"),
            ..='\u{ffff}' => write!(out, "\\u{code:04X}"),
            _ => write!(out, "\\U{code:08X}"),
        };
    }
    out.push('"');
}
