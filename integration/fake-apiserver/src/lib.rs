//! API servers that replay what real ones answered, and those answers.
//!
//! ```text
//!   integration/recordings/<version>/ ──▶ recordings ──▶ replay ◀── clients
//! ```

pub mod recordings;
pub mod replay;
mod version;

pub use version::Version;
