//! Objects with a field that one of two servers does not know, by their OpenAPI documents. Every
//! minor version of Kubernetes adds fields, so two versions can always be told apart by one.
//!
//! ```text
//!   index of OpenAPI v3 ─▶ documents with different hashes ─▶ each type that can be created
//!     ─▶ the shortest path to a property that only the newer document has
//! ```

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use wire::client::Client;

/// An object with such a field.
#[derive(Debug)]
pub struct WithNewField {
    /// The collection that it is created in.
    pub collection: String,
    /// The object. The field is null, which fits every type: the server that
    /// knows it reads nothing, and a strict server that does not know it refuses the object.
    pub object: Value,
}

/// A field on the way to another, and whether it is a list.
type Step = (String, bool);

/// Returns such objects of the types that both servers describe. Fails if a document cannot be
/// read.
pub async fn objects(older: &Client, newer: &Client) -> Result<Vec<WithNewField>> {
    let (index, other) = (documents(older).await?, documents(newer).await?);
    let mut found = Vec::new();
    for (name, entry) in &other {
        let Some(before) = index.get(name).filter(|before| *before != entry) else { continue };
        let (before, document) = (read(older, before).await?, read(newer, entry).await?);
        let paths = document.get("paths").and_then(Value::as_object).context("no paths")?;
        let objects = paths
            .iter()
            .filter_map(|(path, methods)| object(&before, &document, path, methods.get("post")?));
        found.extend(objects);
    }
    Ok(found)
}

async fn documents(client: &Client) -> Result<Map<String, Value>> {
    let index = client.get("/openapi/v3").await?.ok()?.json()?;
    index.get("paths").and_then(Value::as_object).cloned().context("no paths in the index")
}

async fn read(client: &Client, entry: &Value) -> Result<Value> {
    let url = entry.get("serverRelativeURL").and_then(Value::as_str).context("no URL")?;
    client.get(url).await?.ok()?.json()
}

/// Returns an object for a path to which clients post objects of a type with a new field.
fn object(older: &Value, newer: &Value, path: &str, post: &Value) -> Option<WithNewField> {
    let collection = path.replace("{namespace}", "default");
    if collection.contains('{') || post.get("x-kubernetes-action")? != "post" {
        return None;
    }
    let kind = post.get("x-kubernetes-group-version-kind")?;
    let text = |field| kind.get(field)?.as_str();
    let (group, version) = (text("group")?, text("version")?);
    let version = if group.is_empty() { version.into() } else { format!("{group}/{version}") };
    let schema = post.pointer("/requestBody/content/*~1*/schema").and_then(reference)?;
    let steps = path_to_new_field(older, newer, schema)?;
    let mut object = steps.iter().rev().fold(Value::Null, |inner, (field, is_list)| {
        let inner = if *is_list { json!([inner]) } else { inner };
        json!({ field: inner })
    });
    let fields = object.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), version.into());
    fields.insert("kind".to_owned(), text("kind")?.into());
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    metadata.as_object_mut()?.insert("name".to_owned(), "doubtful-".into());
    Some(WithNewField { collection, object })
}

/// Returns the shortest path from a schema that both documents have to a field that only the newer
/// one has.
fn path_to_new_field(older: &Value, newer: &Value, schema: &str) -> Option<Vec<Step>> {
    let (mut queue, mut seen) = (VecDeque::from([(schema, Vec::new())]), BTreeSet::new());
    while let Some((schema, path)) = queue.pop_front() {
        let (before, properties) = (properties(older, schema), properties(newer, schema));
        let (Some(before), Some(properties)) = (before, properties) else { continue };
        let to = |field: &String, is_list| {
            let mut path: Vec<Step> = path.clone();
            path.push((field.clone(), is_list));
            path
        };
        if let Some(field) = properties.keys().find(|field| !before.contains_key(*field)) {
            return Some(to(field, false));
        }
        for (field, property) in properties {
            let items = property.get("items").and_then(reference).map(|schema| (schema, true));
            let next = reference(property).map(|schema| (schema, false)).or(items);
            if let Some((schema, is_list)) = next.filter(|(schema, _)| seen.insert(*schema)) {
                queue.push_back((schema, to(field, is_list)));
            }
        }
    }
    None
}

fn properties<'d>(document: &'d Value, schema: &str) -> Option<&'d Map<String, Value>> {
    document.get("components")?.get("schemas")?.get(schema)?.get("properties")?.as_object()
}

/// Returns the name of the schema that this one refers to.
fn reference(schema: &Value) -> Option<&str> {
    let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"))?;
    reference.as_str()?.strip_prefix("#/components/schemas/")
}
