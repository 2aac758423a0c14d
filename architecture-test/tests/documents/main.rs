//! What documents say, against the files that it is about.

#![cfg(test)]

mod alerts;
mod metrics;

use std::fs;
use std::path::Path;

/// Returns the text of a file of the repository.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
