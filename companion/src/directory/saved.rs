//! The last good text of each file, with the state of its control plane: a companion that starts
//! while a file is faulty goes on with it.

use std::path::{Path, PathBuf};

use crate::files::{self, Access, DiskError};

const NAME: &str = "control-plane.yaml";

fn path(states: &Path, name: &str) -> PathBuf {
    states.join(name).join(NAME)
}

/// Keeps a text.
pub(super) fn save(states: &Path, name: &str, text: &str) -> Result<(), DiskError> {
    let path = path(states, name);
    if files::read_text(&path).is_ok_and(|saved| saved == text) {
        return Ok(());
    }
    files::create_directory(&states.join(name))?;
    files::write_atomically(&path, text.as_bytes(), Access::Owner)
}

/// Returns what was kept, if anything was.
pub(super) fn load(states: &Path, name: &str) -> Option<String> {
    files::read_text(&path(states, name)).ok()
}

/// Forgets what was kept.
pub(super) fn forget(states: &Path, name: &str) -> Result<(), DiskError> {
    files::remove(&path(states, name))
}
