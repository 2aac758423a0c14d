//! Reads documents of OpenAPI v3 and merges them.
//!
//! ```text
//!  index ──OpenApiMerge──▶ Reader ──MergedOpenApi──▶ index ──snapshot──▶ publish
//!                            │ ▲
//!                  GET …?hash=… JSON, protobuf
//!                            ▼ │
//!                           peers
//! ```
//!
//! The index says which documents are to be merged, after it has sent the snapshot that needs
//! them: no map waits for this. The reader asks for one document at a time, and only for one that
//! it has not read yet under this hash. So an upgrade costs each version of Kubernetes a few
//! answers, and a control plane that does not change costs nothing.

mod error;
mod fetch;
mod merge;
pub mod metrics;
mod reader;

pub use reader::OpenApiReader;
