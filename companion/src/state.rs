//! What survives a restart: one file, written whole.
//!
//! It is a help and never a condition: without it, or with one that cannot be
//! read, the companion learns everything again from the peers, except what
//! peers that cannot be reached served.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{DiskError, write_atomically};
use crate::index::Memory;

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The generation that was last used, or was about to be.
    pub generation: Option<u64>,
    /// What was known of the peers.
    pub memory: Memory,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    generation: Option<u64>,
    memory: Memory,
}

/// Why the state was not kept, or is not there.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be written; perhaps the next time.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is there and cannot be read: it is ignored.
    #[error("{path}: {problem}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// A store in a directory, which is made if need be.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        std::fs::create_dir_all(directory)
            .map_err(|source| DiskError::new("cannot make", directory, source))?;
        Ok(Self(directory.join("state.json")))
    }

    /// What was saved; nothing if nothing was.
    ///
    /// # Errors
    /// There is a file, but no state in it.
    pub fn load(&self) -> Result<State, StateError> {
        let unusable = |problem: String| StateError::Unusable { path: self.0.clone(), problem };
        let content = match std::fs::read(&self.0) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(State::default());
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        let saved: Saved =
            serde_json::from_slice(&content).map_err(|error| unusable(error.to_string()))?;
        if saved.version != VERSION {
            return Err(unusable(format!("version {} is not {VERSION}", saved.version)));
        }
        Ok(State { generation: saved.generation, memory: saved.memory })
    }

    /// Saves; when this returns it is on disk.
    ///
    /// # Errors
    /// It is not.
    pub fn save(&self, state: &State) -> Result<(), StateError> {
        let saved =
            Saved { version: VERSION, generation: state.generation, memory: state.memory.clone() };
        let json = serde_json::to_vec(&saved).map_err(|error| StateError::Unusable {
            path: self.0.clone(),
            problem: error.to_string(),
        })?;
        write_atomically(&self.0, &json)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RequestHeaders;

    #[test]
    fn what_was_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("new")).unwrap();
        assert_eq!(store.load().unwrap(), State::default());
        let state = State { generation: Some(7), memory: Memory::default() };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }

    #[test]
    fn a_damaged_state_is_an_error_and_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for content in ["", "{", r#"{"version":2,"generation":1,"memory":{"peers":[]}}"#] {
            std::fs::write(directory.path().join("state.json"), content).unwrap();
            assert!(matches!(store.load(), Err(StateError::Unusable { .. })), "{content:?}");
        }
    }

    #[test]
    fn a_state_of_before_there_were_header_names_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let old = r#"{"version":1,"generation":7,"memory":{"peers":[]}}"#;
        std::fs::write(directory.path().join("state.json"), old).unwrap();
        let state = State { generation: Some(7), memory: Memory::default() };
        assert_eq!(store.load().unwrap(), state);
        let named =
            Memory { request_headers: Some(RequestHeaders::default()), ..Memory::default() };
        let state = State { generation: Some(8), memory: named };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }
}
