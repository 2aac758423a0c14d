//! The protobuf form: gnostic's `openapi.v3.Document` (github.com/google/gnostic-models,
//! openapiv3/OpenAPIv3.proto), down to the entries that are merged. All else is bytes that are
//! passed on. The messages name every field that the definition has, because a field without a
//! name would be lost.

use prost::Message;

use super::OpenApiError;
use super::outline::{Addition, Additions, OPERATIONS, Operations};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Document {
    #[prost(string, tag = "1")]
    pub(super) openapi: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) info: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) servers: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "4")]
    pub(super) paths: Option<Paths>,
    #[prost(message, optional, tag = "5")]
    pub(super) components: Option<Components>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) security: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(super) tags: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) external_docs: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) specification_extension: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Paths {
    #[prost(message, repeated, tag = "1")]
    pub(super) path: Vec<Named>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) specification_extension: Vec<Vec<u8>>,
}

/// `NamedPathItem`, `NamedSchemaOrReference`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) value: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Components {
    #[prost(message, optional, tag = "1")]
    pub(super) schemas: Option<Schemas>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) responses: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) parameters: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) examples: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) request_bodies: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) headers: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "7")]
    pub(super) security_schemes: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) links: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) callbacks: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub(super) specification_extension: Vec<Vec<u8>>,
}

/// `SchemasOrReferences`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Schemas {
    #[prost(message, repeated, tag = "1")]
    pub(super) additional_properties: Vec<Named>,
}

/// The operations of a `PathItem`. Its other fields are not read.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PathOperations {
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) get: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) put: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) post: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "7")]
    pub(super) delete: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) options: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) head: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "10")]
    pub(super) patch: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "11")]
    pub(super) trace: Option<Vec<u8>>,
}

impl Additions {
    /// Returns the merged document. `documents` are the protobuf forms of the outlines' documents,
    /// in their order.
    ///
    /// # Errors
    /// They are not.
    pub fn merge_protobuf(&self, documents: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, OpenApiError> {
        let first = documents.first().ok_or_else(|| error("there is none"))?;
        let mut merged = decode(first.as_ref())?;
        for (document, addition) in self.of(documents) {
            merged.add(addition, decode(document.as_ref())?)?;
        }
        Ok(merged.encode_to_vec())
    }
}

impl Document {
    fn add(&mut self, addition: &Addition, other: Self) -> Result<(), OpenApiError> {
        let others = other.paths.unwrap_or_default().path;
        let paths = &mut self.paths.get_or_insert_default().path;
        for path in &addition.paths {
            paths.push(find(&others, path)?.clone());
        }
        for (path, operations) in &addition.operations {
            let own = paths.iter_mut().find(|own| *own.name == **path);
            let own = own.ok_or_else(|| error(format_args!("{path:?} is missing")))?;
            let item = find(&others, path)?.value.as_deref().unwrap_or_default();
            // Concatenated messages are merged, field by field.
            let added = PathOperations::decode(item).map_err(error)?.only(operations)?;
            own.value.get_or_insert_default().extend(added.encode_to_vec());
        }
        if !addition.schemas.is_empty() {
            let others = other.components.unwrap_or_default().schemas.unwrap_or_default();
            let components = self.components.get_or_insert_default();
            let schemas = components.schemas.get_or_insert_default();
            for name in &addition.schemas {
                let schema = find(&others.additional_properties, name)?.clone();
                schemas.additional_properties.push(schema);
            }
        }
        Ok(())
    }
}

impl PathOperations {
    /// Returns the operations of these names alone.
    fn only(mut self, names: &Operations) -> Result<Self, OpenApiError> {
        let all = [
            &mut self.get,
            &mut self.put,
            &mut self.post,
            &mut self.delete,
            &mut self.options,
            &mut self.head,
            &mut self.patch,
            &mut self.trace,
        ];
        for (name, operation) in OPERATIONS.into_iter().zip(all) {
            if !names.contains(name) {
                *operation = None;
            } else if operation.is_none() {
                return Err(error(format_args!("{name:?} is missing")));
            }
        }
        Ok(self)
    }
}

fn decode(bytes: &[u8]) -> Result<Document, OpenApiError> {
    Document::decode(bytes).map_err(error)
}

fn find<'n>(list: &'n [Named], name: &str) -> Result<&'n Named, OpenApiError> {
    let found = list.iter().find(|named| named.name == name);
    found.ok_or_else(|| error(format_args!("{name:?} is missing")))
}

fn error(problem: impl std::fmt::Display) -> OpenApiError {
    OpenApiError::new("protobuf", problem)
}
