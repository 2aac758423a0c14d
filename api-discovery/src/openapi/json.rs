//! The JSON form. Texts are spliced, not parsed and written anew: what a peer wrote stays as it
//! wrote it, in its order, and what others add comes last.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::OpenApiError;
use super::outline::{Addition, Additions, OPERATIONS, Outline};
use crate::fields::Fields;

/// The parts of a document that are merged.
struct Document<'t> {
    fields: Fields<'t>,
    paths: Fields<'t>,
    components: Fields<'t>,
    schemas: Fields<'t>,
}

/// Entries of an object that are new, or are replaced.
type Entries<'t> = Vec<(Cow<'t, str>, Cow<'t, str>)>;

impl Outline {
    /// Reads a document.
    ///
    /// # Errors
    /// It is not JSON, or not a document of OpenAPI v3.
    pub fn of_json(json: &str) -> Result<Self, OpenApiError> {
        let document = Document::parse(json)?;
        let mut outline = Self::default();
        for (path, item) in document.paths.iter() {
            let item = object(item)?;
            let operations = OPERATIONS.into_iter().filter(|name| item.get(name).is_some());
            outline.paths.insert(path.into(), operations.collect());
        }
        outline.schemas = document.schemas.iter().map(|(name, _)| name.into()).collect();
        Ok(outline)
    }
}

impl Additions {
    /// Returns the merged document. `documents` are those of the outlines, in their order.
    ///
    /// # Errors
    /// They are not.
    pub fn merge_json(&self, documents: &[impl AsRef<str>]) -> Result<String, OpenApiError> {
        let first = documents.first().ok_or_else(|| error("there is none"))?;
        let first = Document::parse(first.as_ref())?;
        let (mut paths, mut schemas) = (BTreeMap::new(), Entries::new());
        let mut added = Entries::new();
        for (document, addition) in self.of(documents) {
            let document = Document::parse(document.as_ref())?;
            document.add(addition, &mut added, &mut schemas)?;
            for (path, operations) in &addition.operations {
                let item = object(present(&document.paths, path)?)?;
                let text = |name: &&'static str| Ok((*name, present(&item, name)?.get()));
                let new: Result<Vec<_>, OpenApiError> = operations.iter().map(text).collect();
                paths.entry(path.clone()).or_insert_with(Vec::new).extend(new?);
            }
        }
        for (path, operations) in paths {
            // A path that the first does not have was added from another document above.
            let earlier = added.iter_mut().find(|(name, _)| **name == *path);
            if let Some((_, item)) = earlier {
                *item = Fields::parse(item).map_err(error)?.with(&operations).into();
            } else {
                let item = object(present(&first.paths, &path)?)?.with(&operations);
                added.push((String::from(path).into(), item.into()));
            }
        }
        let paths = with(&first.paths, &added);
        let components = first.components.with(&[("schemas", &with(&first.schemas, &schemas))]);
        Ok(first.fields.with(&[("paths", &paths), ("components", &components)]))
    }
}

impl<'t> Document<'t> {
    fn parse(json: &'t str) -> Result<Self, OpenApiError> {
        let fields = Fields::parse(json).map_err(error)?;
        let paths = object(present(&fields, "paths")?)?;
        let part =
            |fields: &Fields<'t>, name| fields.get(name).map_or(Ok(Fields::default()), object);
        let components = part(&fields, "components")?;
        let schemas = part(&components, "schemas")?;
        Ok(Self { fields, paths, components, schemas })
    }

    fn add(
        &self,
        addition: &Addition,
        paths: &mut Entries<'t>,
        schemas: &mut Entries<'t>,
    ) -> Result<(), OpenApiError> {
        let new = |from: &Fields<'t>, name: &str| {
            Ok((name.to_owned().into(), present(from, name)?.get().into()))
        };
        for path in &addition.paths {
            paths.push(new(&self.paths, path)?);
        }
        for name in &addition.schemas {
            schemas.push(new(&self.schemas, name)?);
        }
        Ok(())
    }
}

fn with(object: &Fields<'_>, entries: &Entries<'_>) -> String {
    let entries: Vec<_> = entries.iter().map(|(name, value)| (&**name, &**value)).collect();
    object.with(&entries)
}

fn object(value: &RawValue) -> Result<Fields<'_>, OpenApiError> {
    Fields::parse(value.get()).map_err(error)
}

fn present<'t>(fields: &Fields<'t>, name: &str) -> Result<&'t RawValue, OpenApiError> {
    fields.get(name).ok_or_else(|| error(format_args!("{name:?} is missing")))
}

fn error(problem: impl std::fmt::Display) -> OpenApiError {
    OpenApiError::new("JSON", problem)
}
