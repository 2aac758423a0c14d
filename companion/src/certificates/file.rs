//! Reads a PEM file, and writes PEM in one form.

use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem};

use crate::files;

/// A file that cannot be used. It may be valid the next time it is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {problem}", file.display())]
pub struct FileError {
    pub file: PathBuf,
    /// What is wrong with it; the file is the subject of the sentence.
    pub problem: String,
}

impl FileError {
    pub(super) fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problem: problem.into() }
    }
}

pub(super) fn content(file: &Path) -> Result<Vec<u8>, FileError> {
    files::read(file).map_err(|error| FileError::new(file, format!("cannot be read: {error}")))
}

/// Returns the PEM block for a DER value.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), config)
}
