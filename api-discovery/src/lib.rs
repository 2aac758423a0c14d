//! What API servers say they serve: parsed once, believed once, and merged.
//!
//! Pure: no I/O, no clock, no runtime. Each step knows only those before it:
//!
//! ```text
//!  bytes of /api, /apis ─▶ DiscoveryDocument ─▶ Listing ─┐
//!  (older servers)      ─▶ LegacyReader ──────▶ Listing ─┼─▶ Belief ─▶ merge_documents
//!  bytes of /openapi/v3 ─▶ OpenApiIndex ─────────────────┘   (one a peer)  (all peers)
//!  bytes of documents below it ─▶ Outline ─▶ Additions ─▶ merged documents of OpenAPI v3
//! ```

mod belief;
mod document;
mod fields;
mod legacy_reader;
mod limits;
mod listing;
mod merged;
mod openapi;
mod origins;
mod packing;
mod pool;
mod release;
mod storage;
mod verbs;
mod wire;

pub use belief::{Belief, Change};
pub use discovery_map::{InvalidMinorVersion, MinorVersion};
pub use document::{AggregatedList, DiscoveryDocument, GroupVersion};
pub use legacy_reader::{LegacyGroupVersion, LegacyReader};
pub use limits::{TooManyTypes, TypeCount};
pub use listing::{Group, GroupNames, Listing, Named, Part, Types, Version, group_version_path};
pub use merged::{
    Conflict, MergeSource, MergedDocuments, MergedText, OpenApiAnswer, OpenApiAnswers,
    OpenApiSource, OpenApiSources, PackCache, PackedText, UnpackedDocument, merge_documents,
    merge_open_api,
};
pub use openapi::{
    Additions, MergedOpenApi, MergedOpenApiContent, OpenApiError, OpenApiIndex, Outline, PackedForm,
};
pub use origins::{Origins, OriginsList};
pub use pool::Pool;
pub use release::{Release, ServerVersion};
pub use verbs::Verbs;
