//! Tests that hold for the files of the whole workspace, and what they need.
//!
//! `tests/architecture`: no file has more than 400 lines, each begins with a `//!` header, no files of
//! a crate import each other in a cycle, and the files that documents name exist. `tests/documents`:
//! anchors, commands, the book, alerts and the dashboard are what documents and files say.
//! `src/bin/book.rs` makes the sources of the book. Nothing of this ships.

pub mod book;
pub mod markdown;
