//! What survives a restart: one file, written whole.
//!
//! It is a help and never a condition: if it is missing or cannot be read, the companion learns
//! everything again from the peers, except what unreachable peers served and what Envoy was told.
//!
//! A field that an older companion did not write has its default, and one that only a newer
//! companion knows is ignored, so the file survives upgrades and rollbacks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::endpoints::{Addresses, Endpoints};
use crate::files::{self, Access, DiskError};
use crate::index::Memory;

/// The format of the file. A file of another version is not read.
const VERSION: u32 = 1;

/// How far a clock is set back when it is corrected while it runs.
const CLOCK_STEP: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The generation that was used last, or was about to be.
    pub generation: Option<u64>,
    pub memory: Memory,
    #[serde(default)]
    pub published: Published,
}

/// What the next run must know of what Envoy was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SavedPublished", into = "SavedPublished")]
pub struct Published {
    pub endpoints: Addresses,
    /// The name of the secret that the twins present.
    pub front_proxy: Option<String>,
}

/// As the file has it. An older companion reads the addresses and knows no levels.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SavedPublished {
    endpoints: BTreeMap<String, Vec<SocketAddr>>,
    /// The same addresses in levels, of the clusters that have several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    levels: BTreeMap<String, Vec<Vec<SocketAddr>>>,
    front_proxy: Option<String>,
}

impl From<Published> for SavedPublished {
    fn from(Published { endpoints, front_proxy }: Published) -> Self {
        let several = endpoints.iter().filter(|(_, endpoints)| endpoints.levels().len() > 1);
        let levels = several.map(|(name, endpoints)| (name.clone(), endpoints.levels().to_vec()));
        let levels = levels.collect();
        let all = endpoints.into_iter().map(|(name, endpoints)| (name, endpoints.all().collect()));
        Self { endpoints: all.collect(), levels, front_proxy }
    }
}

impl From<SavedPublished> for Published {
    fn from(SavedPublished { endpoints, mut levels, front_proxy }: SavedPublished) -> Self {
        let endpoints = endpoints.into_iter().map(|(name, addresses)| {
            let all = addresses.iter().copied().collect::<Endpoints>();
            let levels = levels.remove(&name).map(Endpoints::of_levels);
            // An older companion that ran in between changes the addresses only.
            let levels = levels.filter(|levels| levels.all().collect::<Endpoints>() == all);
            (name, levels.unwrap_or(all))
        });
        Self { endpoints: endpoints.collect(), front_proxy }
    }
}

#[derive(Serialize)]
struct Saved<'s> {
    version: u32,
    #[serde(flatten)]
    state: &'s State,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The state could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be written. A retry may succeed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file exists and cannot be read. It is ignored.
    #[error("{path}: {problem}")]
    Unusable { path: PathBuf, problem: String },
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// Opens the store in a directory. Makes the directory if it does not exist.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        files::create_directory(directory)?;
        Ok(Self(directory.join("state.json")))
    }

    /// Returns what was saved, or the default if nothing was.
    pub fn load(&self) -> Result<State, StateError> {
        let unusable = |problem: String| StateError::Unusable { path: self.0.clone(), problem };
        let content = match std::fs::read(&self.0) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(State::default());
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        let read = || -> Result<(u32, State), serde_json::Error> {
            let Version { version } = serde_json::from_slice(&content)?;
            Ok((version, serde_json::from_slice(&content)?))
        };
        match read().map_err(|error| unusable(error.to_string()))? {
            (VERSION, mut state) => {
                state.memory.ago = self.age();
                Ok(state)
            }
            (version, _) => Err(unusable(format!("version {version} is not {VERSION}"))),
        }
    }

    /// Returns how long ago a companion last knew that the state is right, in whole seconds. If nobody
    /// can tell, because the clock was set back, that was too long ago.
    fn age(&self) -> Duration {
        let written = std::fs::metadata(&self.0).and_then(|metadata| metadata.modified());
        let age = written.map(|written| match written.elapsed() {
            Err(ahead) if ahead.duration() < CLOCK_STEP => Duration::ZERO,
            age => age.unwrap_or(Duration::MAX),
        });
        Duration::from_secs(age.unwrap_or(Duration::MAX).as_secs())
    }

    /// Notes that what was saved is still right. If that fails, it seems older than it is.
    pub fn confirm(&self) {
        let file = std::fs::File::open(&self.0);
        let noted = file.and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = noted {
            tracing::debug!(%error, "cannot set the time of the saved state");
        }
    }

    /// Saves the state. It is on disk when this returns. After an error, the old one is still there.
    pub fn save(&self, state: &State) -> Result<(), StateError> {
        let saved = Saved { version: VERSION, state };
        let json = serde_json::to_vec(&saved).map_err(|error| StateError::Unusable {
            path: self.0.clone(),
            problem: error.to_string(),
        })?;
        files::write_atomically(&self.0, &json, Access::Umask)?;
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
        let published = Published {
            endpoints: [("a", [vec![1, 2]].to_vec()), ("b", [vec![2], vec![1]].to_vec())]
                .map(|(name, levels)| {
                    let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
                    let level = |ports: Vec<u16>| ports.into_iter().map(address).collect();
                    (name.to_owned(), Endpoints::of_levels(levels.into_iter().map(level)))
                })
                .into(),
            front_proxy: Some("front-proxy-0".to_owned()),
        };
        let state = State { generation: Some(7), memory: Memory::default(), published };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }

    #[test]
    fn a_state_is_as_old_as_its_last_confirmation() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&State::default()).unwrap();
        let file = std::fs::File::open(directory.path().join("state.json")).unwrap();
        let hour = Duration::from_secs(3600);
        file.set_modified(SystemTime::now() - hour).unwrap();
        assert!(store.load().unwrap().memory.ago >= hour);
        store.confirm();
        assert!(store.load().unwrap().memory.ago < hour);
        file.set_modified(SystemTime::now() + hour).unwrap();
        assert!(store.load().unwrap().memory.ago > hour, "nobody can tell");
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
        let state = State { generation: Some(7), ..State::default() };
        assert_eq!(store.load().unwrap(), state);
        let named =
            Memory { request_headers: Some(RequestHeaders::default()), ..Memory::default() };
        let state = State { generation: Some(8), memory: named, ..State::default() };
        store.save(&state).unwrap();
        assert_eq!(store.load().unwrap(), state);
    }

    #[test]
    fn a_state_with_fields_of_a_newer_companion_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let newer =
            r#"{"version":1,"generation":7,"memory":{"peers":[]},"published":{"x":1},"y":2}"#;
        std::fs::write(directory.path().join("state.json"), newer).unwrap();
        assert_eq!(store.load().unwrap(), State { generation: Some(7), ..State::default() });
    }
}
