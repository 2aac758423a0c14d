//! Reads a PEM file, and writes PEM in one form.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem};

/// The largest file that is read: four times a bundle of all public authorities.
const MAX_BYTES: u64 = 1 << 20;

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
    let mut content = Vec::new();
    File::open(file)
        .and_then(|open| open.take(MAX_BYTES + 1).read_to_end(&mut content))
        .map_err(|error| FileError::new(file, format!("cannot be read: {error}")))?;
    if content.len() as u64 > MAX_BYTES {
        return Err(FileError::new(file, format!("is larger than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

/// Returns the PEM block for a DER value.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), config)
}
