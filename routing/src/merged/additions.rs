//! What a server's own document lists and the merged one does not.
//!
//! The merged document is as old as the map. A server knows at once what was
//! defined through it, so a client that defines a type and reads discovery next must
//! find it, as at a single server. Entries are compared by name, on each level:
//!
//! ```text
//!  aggregated       items ▶ versions ▶ resources ▶ subresources
//!  APIGroupList     groups ▶ versions
//!  APIGroup         versions
//!  APIResourceList  resources
//!  OpenAPI v3       paths
//! ```
//!
//! What both list stays as the merged document has it, and what only the merged one
//! lists stays as well: another server may serve it. Additions are spliced in at the
//! end of their lists, so the text of the merged document is never written anew.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

/// A list of objects that have names.
struct List {
    /// The field of the list.
    field: &'static str,
    /// Where an object's name is.
    name: Key,
    /// The list in each object.
    nested: Option<&'static Self>,
}

enum Key {
    /// In this field.
    Field(&'static str),
    /// In `metadata.name`.
    Metadata,
}

static SUBRESOURCES: List =
    List { field: "subresources", name: Key::Field("subresource"), nested: None };
static RESOURCES: List =
    List { field: "resources", name: Key::Field("resource"), nested: Some(&SUBRESOURCES) };
static VERSIONS: List =
    List { field: "versions", name: Key::Field("version"), nested: Some(&RESOURCES) };
static GROUP_VERSIONS: List =
    List { field: "versions", name: Key::Field("groupVersion"), nested: None };

/// The lists at the top of a document. No document has two of them.
static ROOTS: [&List; 4] = [
    &List { field: "items", name: Key::Metadata, nested: Some(&VERSIONS) },
    &List { field: "groups", name: Key::Field("name"), nested: Some(&GROUP_VERSIONS) },
    &GROUP_VERSIONS,
    &List { field: "resources", name: Key::Field("name"), nested: None },
];

/// The field of `/openapi/v3` whose value is an object with a field for each document.
const PATHS: &str = "paths";

type Fields<'t> = BTreeMap<String, &'t RawValue>;

/// Returns the merged document with what only `own` lists. `None` if that is nothing, or if a
/// document is not the JSON that it should be.
pub(super) fn with_additions(merged: &str, own: &str) -> Option<String> {
    let mut additions = Additions { text: merged, insertions: Vec::new() };
    let (merged, own) = (serde_json::from_str(merged).ok()?, serde_json::from_str(own).ok()?);
    let (merged_fields, own_fields) = (fields(merged)?, fields(own)?);
    for list in ROOTS {
        if merged_fields.contains_key(list.field) {
            additions.add(merged, own, list);
        }
    }
    if let (Some(merged), Some(own)) = (merged_fields.get(PATHS), own_fields.get(PATHS)) {
        additions.add_paths(merged, own);
    }
    additions.spliced()
}

/// What is inserted into a text, by the offset in it.
struct Additions<'t> {
    text: &'t str,
    insertions: Vec<(usize, String)>,
}

impl<'t> Additions<'t> {
    /// Adds what the list of `own` has and that of `merged` lacks. Both are objects. What is not a
    /// list of objects adds nothing.
    fn add(&mut self, merged: &'t RawValue, own: &RawValue, list: &List) {
        let (Some(merged_fields), Some(own_fields)) = (fields(merged), fields(own)) else { return };
        let Some(own) = own_fields.get(list.field).and_then(|own| items(own)) else { return };
        let Some(field) = merged_fields.get(list.field) else {
            let added: Vec<_> = own.iter().map(|item| compacted(item.get())).collect();
            let field = format!("\"{}\":[{}]", list.field, added.join(","));
            return self.insert_at_end(merged, merged_fields.is_empty(), &[field]);
        };
        let Some(merged) = items(field) else { return };
        let same: BTreeSet<_> = merged.iter().map(|item| item.get()).collect();
        let other: Vec<_> = own.into_iter().filter(|item| !same.contains(item.get())).collect();
        if other.is_empty() {
            return;
        }
        let named = merged.iter().filter_map(|item| Some((list.name_of(item)?, *item)));
        let mut named: BTreeMap<_, _> = named.map(|(name, item)| (name, Some(item))).collect();
        let mut added = Vec::new();
        for item in other {
            let Some(name) = list.name_of(item) else { continue };
            match (named.get(&name), list.nested) {
                (Some(Some(known)), Some(nested)) => self.add(known, item, nested),
                (Some(_), _) => {}
                (None, _) => {
                    named.insert(name, None);
                    added.push(compacted(item.get()));
                }
            }
        }
        self.insert_at_end(field, merged.is_empty(), &added);
    }

    fn add_paths(&mut self, merged: &'t RawValue, own: &RawValue) {
        let (Some(known), Some(own)) = (fields(merged), fields(own)) else { return };
        let new = own.into_iter().filter(|(path, _)| !known.contains_key(path));
        let added = new.map(|(path, value)| {
            format!("{}:{}", serde_json::Value::from(path), compacted(value.get()))
        });
        self.insert_at_end(merged, known.is_empty(), &added.collect::<Vec<_>>());
    }

    /// Inserts before the bracket that closes this list or object.
    fn insert_at_end(&mut self, value: &'t RawValue, is_empty: bool, added: &[String]) {
        if added.is_empty() {
            return;
        }
        let end = value.get().as_bytes().as_ptr_range().end.addr();
        let offset = end.wrapping_sub(self.text.as_ptr().addr()).wrapping_sub(1);
        let comma = if is_empty { "" } else { "," };
        self.insertions.push((offset, [comma, &added.join(",")].concat()));
    }

    fn spliced(mut self) -> Option<String> {
        if self.insertions.is_empty() {
            return None;
        }
        self.insertions.sort_unstable();
        let added: usize = self.insertions.iter().map(|(_, text)| text.len()).sum();
        let mut whole = String::with_capacity(self.text.len().saturating_add(added));
        let mut from = 0;
        for (to, text) in &self.insertions {
            whole.push_str(self.text.get(from..*to)?);
            whole.push_str(text);
            from = *to;
        }
        whole.push_str(self.text.get(from..)?);
        Some(whole)
    }
}

fn fields(object: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(object.get()).ok()
}

fn items(list: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(list.get()).ok()
}

impl List {
    /// Returns the name of an object in the list. The core group has metadata without a name.
    fn name_of(&self, object: &RawValue) -> Option<String> {
        let object = fields(object)?;
        let (object, name) = match self.name {
            Key::Field(name) => (object, name),
            Key::Metadata => match fields(object.get("metadata")?)? {
                metadata if metadata.contains_key("name") => (metadata, "name"),
                _ => return Some(String::new()),
            },
        };
        serde_json::from_str(object.get(name)?.get()).ok()
    }
}

/// Returns JSON without white space between its parts: a server indents for some clients.
fn compacted(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let kept = json.chars().filter(|&char| {
        let is_space = matches!(char, ' ' | '\n' | '\r' | '\t');
        match (in_string, char) {
            (true, _) if is_escaped => is_escaped = false,
            (true, '\\') => is_escaped = true,
            (_, '"') => in_string = !in_string,
            (false, _) if is_space => return false,
            _ => {}
        }
        true
    });
    kept.collect()
}

#[cfg(test)]
mod tests;
