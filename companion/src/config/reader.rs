//! Reads a YAML document field by field and collects its faults.
//!
//! A derived `Deserialize` stops at the first fault. Here each field is taken from its section
//! once, and a finished section reports the fields that were not read as unknown. A missing or
//! invalid value is [`Faulty`], which exists only after its fault was logged: the caller reads on,
//! and the document is refused as a whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use discovery_map::{Fault, Faults};
use serde_json::{Map, Value};

/// Where faults are collected.
#[derive(Debug, Default)]
pub(super) struct FaultLog(RefCell<Vec<Fault>>);

/// There is no value, and the log has the reason: only [`FaultLog::add`] makes this.
#[derive(Debug)]
pub(super) struct Faulty(());

impl FaultLog {
    /// Logs a fault at a place.
    pub(super) fn add(&self, place: impl Into<String>, problem: impl Into<String>) -> Faulty {
        self.0.borrow_mut().push(Fault::new(place, problem));
        Faulty(())
    }

    /// Returns the value if there is no fault.
    pub(super) fn into_result<T>(self, value: Result<T, Faulty>) -> Result<T, Faults> {
        Faults::from_list(self.0.into_inner())?;
        // Never faulty here: its fault would be in the log.
        value.map_err(|Faulty(())| Faults::one("document", "is not valid"))
    }
}

/// A mapping whose fields are taken one by one.
#[derive(Debug)]
pub(super) struct Section<'l> {
    place: String,
    fields: Map<String, Value>,
    /// The fields that were asked for, present or not.
    known: Vec<&'static str>,
    log: &'l FaultLog,
}

impl<'l> Section<'l> {
    /// The document's top level.
    pub(super) fn document(text: &str, log: &'l FaultLog) -> Result<Self, Faulty> {
        // Without snippets: the text may contain what must not be logged.
        let value = serde_saphyr::from_str::<Value>(text)
            .map_err(|error| log.add("document", error.without_snippet().to_string()))?;
        Self::new(String::new(), value, log)
    }

    fn new(place: String, value: Value, log: &'l FaultLog) -> Result<Self, Faulty> {
        if let Value::Object(fields) = value {
            return Ok(Self { place, fields, known: Vec::new(), log });
        }
        let place = if place.is_empty() { "document" } else { &place };
        Err(log.add(place, format!("must be a mapping, not {}", kind(&value))))
    }

    /// The path of a field of this section.
    pub(super) fn place(&self, field: &str) -> String {
        if self.place.is_empty() { field.to_owned() } else { format!("{}.{field}", self.place) }
    }

    /// Logs a fault of a field.
    pub(super) fn fault(&self, field: &str, problem: impl Into<String>) -> Faulty {
        self.log.add(self.place(field), problem)
    }

    /// Logs a fault of the section as a whole.
    pub(super) fn own_fault(&self, problem: impl Into<String>) -> Faulty {
        self.log.add(&*self.place, problem)
    }

    /// Takes a field; a null counts as absent.
    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    fn take_required(&mut self, field: &'static str) -> Result<Value, Faulty> {
        self.take(field).ok_or_else(|| self.fault(field, "is required"))
    }

    /// A string that must be present, read by `read`.
    pub(super) fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Faulty> {
        let value = self.take_required(field)?;
        self.string(field, value, read)
    }

    /// A string that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Faulty> {
        let value = self.take(field);
        value.map(|value| self.string(field, value, read)).transpose()
    }

    /// A string with a default, which is read as if it had been written.
    pub(super) fn or_default<T>(
        &mut self,
        field: &'static str,
        default: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Faulty> {
        let value = self.take(field);
        self.string(field, value.unwrap_or_else(|| default.into()), read)
    }

    /// Whether a flag is set; it is not if it is absent.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, Faulty> {
        match self.take(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.fault(field, "must be true or false")),
        }
    }

    /// A string or a number that may be absent, read by `read` as text.
    pub(super) fn optional_scalar<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Faulty> {
        let value = self.take(field).map(|value| match value {
            Value::Number(number) => number.to_string().into(),
            other => other,
        });
        value.map(|value| self.string(field, value, read)).transpose()
    }

    fn string<T>(
        &self,
        field: &str,
        value: Value,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Faulty> {
        let Value::String(text) = value else {
            return Err(self.fault(field, format!("must be a string, not {}", kind(&value))));
        };
        read(&text).map_err(|problem| self.fault(field, format!("{text:?} {problem}")))
    }

    /// An integer within bounds, with a default.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Faulty> {
        let Some(value) = self.take(field) else { return Ok(default) };
        value.as_u64().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = range.into_inner();
            self.fault(field, format!("{value} must be an integer between {least} and {most}"))
        })
    }

    /// A section that must be present.
    pub(super) fn section(&mut self, field: &'static str) -> Result<Self, Faulty> {
        let value = self.take_required(field)?;
        Self::new(self.place(field), value, self.log)
    }

    /// A section that may be absent, read by `read`.
    pub(super) fn optional_section<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(Self) -> Result<T, Faulty>,
    ) -> Result<Option<T>, Faulty> {
        let Some(value) = self.take(field) else { return Ok(None) };
        Self::new(self.place(field), value, self.log).and_then(read).map(Some)
    }

    /// A section whose fields all have defaults: an absent one is empty.
    pub(super) fn section_or_empty(&mut self, field: &'static str) -> Result<Self, Faulty> {
        let value = self.take(field).unwrap_or_else(|| Map::new().into());
        Self::new(self.place(field), value, self.log)
    }

    /// A list of sections that may be absent, and otherwise has an entry. Entries that
    /// are not sections are logged and left out.
    pub(super) fn optional_sections(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Vec<Self>>, Faulty> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let items = self.list(field, value)?;
        if items.is_empty() {
            return Err(self.fault(field, "must have at least one entry"));
        }
        let place = self.place(field);
        let sections = items.into_iter().enumerate();
        let section = |(index, item)| Self::new(format!("{place}[{index}]"), item, self.log).ok();
        Ok(Some(sections.filter_map(section).collect()))
    }

    /// A list of strings, each read by `read`, with a default.
    pub(super) fn strings<T>(
        &mut self,
        field: &'static str,
        default: Vec<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Faulty> {
        self.optional_strings(field, read).map(|strings| strings.unwrap_or(default))
    }

    /// A list of strings that may be absent, each read by `read`.
    pub(super) fn optional_strings<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Faulty> {
        let Some(value) = self.take(field) else { return Ok(None) };
        self.read_strings(field, value, read).map(Some)
    }

    /// A list of strings, each read by `read`, that must be present and have an entry.
    pub(super) fn required_strings<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Faulty> {
        let value = self.take_required(field)?;
        let strings = self.read_strings(field, value, read)?;
        if strings.is_empty() {
            return Err(self.fault(field, "must have at least one entry"));
        }
        Ok(strings)
    }

    /// A list that must be present and have an entry. Each is a string, read by `text`, or a section,
    /// read by `section`.
    pub(super) fn required_entries<T>(
        &mut self,
        field: &'static str,
        text: impl Fn(&str) -> Result<T, String>,
        section: impl Fn(Self) -> Result<T, Faulty>,
    ) -> Result<Vec<T>, Faulty> {
        let value = self.take_required(field)?;
        let items = self.list(field, value)?;
        if items.is_empty() {
            return Err(self.fault(field, "must have at least one entry"));
        }
        let read = |(index, item): (usize, Value)| {
            let place = format!("{field}[{index}]");
            match item {
                Value::Object(_) => section(Self::new(self.place(&place), item, self.log)?),
                Value::String(_) => self.string(&place, item, &text),
                _ => Err(self
                    .fault(&place, format!("must be a string or a mapping, not {}", kind(&item)))),
            }
        };
        // All are read before the first fault ends it, so that none is missed.
        let entries: Vec<_> = items.into_iter().enumerate().map(read).collect();
        entries.into_iter().collect()
    }

    fn read_strings<T>(
        &self,
        field: &'static str,
        value: Value,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Faulty> {
        let items = self.list(field, value)?;
        // All are read before the first fault ends it, so that none is missed.
        let strings: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.string(&format!("{field}[{index}]"), item, &read))
            .collect();
        strings.into_iter().collect()
    }

    fn list(&self, field: &str, value: Value) -> Result<Vec<Value>, Faulty> {
        let Value::Array(items) = value else {
            return Err(self.fault(field, format!("must be a list, not {}", kind(&value))));
        };
        Ok(items)
    }

    /// Reports the value of a field that an earlier field has; `seen` has the place of each value.
    pub(super) fn once<T: Clone + Display + Eq + Hash>(
        &self,
        field: &str,
        value: Option<&T>,
        seen: &mut HashMap<T, String>,
    ) {
        if let Some(value) = value
            && let Some(first) = seen.insert(value.clone(), self.place(field))
        {
            self.fault(field, format!("\"{value}\" is already used by {first}"));
        }
    }

    /// Reports a field that is of no use here, and says why.
    pub(super) fn refuse(&mut self, field: &'static str, problem: &str) {
        if self.fields.remove(field).is_some() {
            self.fault(field, problem);
        }
    }

    /// Reports the fields that were not read.
    pub(super) fn finish(self) {
        let known = self.known.join(", ");
        for field in self.fields.keys() {
            self.fault(field, format!("is not a known field; known fields: {known}"));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
