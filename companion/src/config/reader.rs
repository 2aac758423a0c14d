//! Reads a YAML document field by field and collects what is wrong.
//!
//! A derived `Deserialize` stops at the first fault. Here each field is taken
//! from its section once; a section that is finished reports what nobody took
//! as unknown. A value that is missing or wrong is `None`, and its fault is
//! in the log: so the caller goes on, and the document is refused as a whole.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place as a path of field names: `peers[2].address`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

/// Where faults are collected.
#[derive(Debug, Default)]
pub(super) struct FaultLog(RefCell<Vec<Fault>>);

/// A mapping whose fields are taken one by one.
#[derive(Debug)]
pub(super) struct Section<'l> {
    place: String,
    fields: Map<String, Value>,
    log: &'l FaultLog,
}

impl Fault {
    /// A fault at a place.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl Faults {
    /// An error if there is any fault.
    ///
    /// # Errors
    /// The faults, when there are any.
    pub fn from_list(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// One fault.
    pub(super) fn single(place: &str, problem: &str) -> Self {
        Self(vec![Fault::new(place, problem)])
    }

    /// The faults, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl fmt::Display for Faults {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl FaultLog {
    pub(super) fn add(&self, place: impl Into<String>, problem: impl Into<String>) {
        self.0.borrow_mut().push(Fault::new(place, problem));
    }

    pub(super) fn into_result(self) -> Result<(), Faults> {
        Faults::from_list(self.0.into_inner())
    }
}

impl<'l> Section<'l> {
    /// The document's top level.
    pub(super) fn document(text: &str, log: &'l FaultLog) -> Option<Self> {
        // Without snippets: the text may hold what a log should not.
        match serde_saphyr::from_str::<Value>(text) {
            Ok(value) => Self::new(String::new(), value, log),
            Err(error) => {
                log.add("document", error.without_snippet().to_string());
                None
            }
        }
    }

    fn new(place: String, value: Value, log: &'l FaultLog) -> Option<Self> {
        if let Value::Object(fields) = value {
            return Some(Self { place, fields, log });
        }
        let place = if place.is_empty() { "document" } else { &place };
        log.add(place, format!("must be a mapping, not {}", kind(&value)));
        None
    }

    /// The path of a field of this section.
    pub(super) fn place(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    fn fault(&self, field: &str, problem: impl Into<String>) {
        self.log.add(self.place(field), problem);
    }

    /// Takes a field; a null is an absent one.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    fn take_required(&mut self, field: &str) -> Option<Value> {
        let value = self.take(field);
        if value.is_none() {
            self.fault(field, "is required");
        }
        value
    }

    /// A text that must be there, read by `read`.
    pub(super) fn required<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take_required(field)?;
        self.text(field, value, read)
    }

    /// A text that has a default.
    pub(super) fn or_default<T>(
        &mut self,
        field: &str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(value) = self.take(field) else { return Some(default) };
        self.text(field, value, read)
    }

    fn text<T>(
        &self,
        field: &str,
        value: Value,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Value::String(text) = value else {
            self.fault(field, format!("must be text, not {}", kind(&value)));
            return None;
        };
        read(&text).map_err(|problem| self.fault(field, format!("{text:?} {problem}"))).ok()
    }

    /// A whole number within bounds, with a default.
    pub(super) fn number(
        &mut self,
        field: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let Some(value) = self.take(field) else { return Some(default) };
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.fault(field, format!("{value} must be a whole number from {least} to {most}"));
        }
        number
    }

    /// True or false, with a default.
    pub(super) fn flag(&mut self, field: &str, default: bool) -> Option<bool> {
        match self.take(field) {
            None => Some(default),
            Some(Value::Bool(flag)) => Some(flag),
            Some(other) => {
                self.fault(field, format!("must be true or false, not {}", kind(&other)));
                None
            }
        }
    }

    /// A section that must be there.
    pub(super) fn section(&mut self, field: &str) -> Option<Self> {
        let value = self.take_required(field)?;
        Self::new(self.place(field), value, self.log)
    }

    /// A section that may be absent: then it is empty.
    pub(super) fn section_or_empty(&mut self, field: &str) -> Option<Self> {
        let value = self.take(field).unwrap_or_else(|| Value::Object(Map::new()));
        Self::new(self.place(field), value, self.log)
    }

    /// Whether the field is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    /// A list of sections that must be there and have an entry.
    pub(super) fn sections(&mut self, field: &str) -> Vec<Self> {
        let Some(value) = self.take_required(field) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.fault(field, format!("must be a list, not {}", kind(&value)));
            return Vec::new();
        };
        if items.is_empty() {
            self.fault(field, "must have an entry");
        }
        let place = self.place(field);
        let sections = items.into_iter().enumerate();
        sections
            .filter_map(|(index, item)| Self::new(format!("{place}[{index}]"), item, self.log))
            .collect()
    }

    /// A list of texts, each read by `read`, that has a default.
    pub(super) fn texts<T>(
        &mut self,
        field: &str,
        default: Vec<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Some(value) = self.take(field) else { return Some(default) };
        let Value::Array(items) = value else {
            self.fault(field, format!("must be a list, not {}", kind(&value)));
            return None;
        };
        // All are read before any is given up, so that no fault is missed.
        let texts: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.text(&format!("{field}[{index}]"), item, &read))
            .collect();
        texts.into_iter().collect()
    }

    /// Reports the fields that nobody took. `known` are all that exist.
    pub(super) fn finish(self, known: &[&str]) {
        for field in self.fields.keys().filter(|field| !known.contains(&field.as_str())) {
            self.fault(field, format!("is unknown; known here: {}", known.join(", ")));
        }
    }
}

/// Reads any value that has a `FromStr`.
pub(super) fn parsed<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
