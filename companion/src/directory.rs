//! The files of many control planes, and what they say.
//!
//! ```text
//!  directory ──read (every second)──▶ Files::take ──▶ Known ─▶ control planes, listener
//!  main file ──────────────────────────▲     └──News─▶ log, serve, the last good text on disk
//! ```
//!
//! Invariants:
//! - What one file says by mistake changes nothing of another control plane.
//! - A file that cannot be used keeps the last good configuration, also over a restart.
//! - A directory that cannot be read, or has no files any more, changes nothing.
//! - No two control planes have a server name in common.

mod files;
mod follower;
pub mod metrics;
mod owners;
mod read;
mod saved;

use std::path::Path;

use crate::config::ControlPlaneDirectory;

pub use files::{Files, Known};
pub use follower::Follower;

/// Checks every file in a directory. Returns how many there are.
///
/// # Errors
/// Everything that is wrong with them.
pub fn check(directory: &ControlPlaneDirectory) -> Result<usize, Vec<String>> {
    let read = read::read(&directory.path).map_err(|error| vec![error])?;
    let mut files = Files::default();
    // An empty directory is no fault of files that were never there.
    drop(files.take(read, directory, true));
    let known = files.known();
    let faults = known.faults.iter().flat_map(|(name, faults)| {
        faults.iter().map(move |fault| format!("{}: {fault}", file(&directory.path, name)))
    });
    let faults: Vec<_> = faults.collect();
    if faults.is_empty() { Ok(known.configs.len()) } else { Err(faults) }
}

/// Returns the path of the file of a control plane, for messages.
fn file(directory: &Path, name: &str) -> String {
    directory.join(format!("{name}.{}", read::EXTENSION)).display().to_string()
}
