//! What API servers say they serve: parsed, believed and merged.
//!
//! Pure: no I/O, no clock, no runtime.

mod discovery;
mod documents;

pub use discovery::{
    Document, Groups, Known, LegacyGroupVersion, ListedVersion, Listing, Origins, OriginsList,
    Part, Types,
};
pub use documents::{
    Aggregated, Conflict, Content, Group, LegacyGroup, LegacyResource, Made, OpenApiIndex, Packer,
    Release, Says, Served, aggregated_version, make,
};
