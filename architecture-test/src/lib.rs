//! This crate has only tests, in `tests/architecture`: no file of the workspace
//! has more than 400 lines, each begins with a `//!` header, no files of a crate
//! import each other in a circle, and the files that documents name exist. The
//! crate has no dependencies, so its tests build in a second.
