//! The configuration: what the file says, checked.
//!
//! Two steps, in the direction of the arrow. Nothing else in the crate reads
//! YAML, and a [`Config`] exists only if the whole file is valid:
//!
//! ```text
//!  YAML text ── reader (fields, paths, faults) ── build ── Config ── files (what it names)
//! ```
//!
//! Every fault of the file is reported at once, each with its field path, so
//! that an operator need not restart once for each.

mod ads;
mod answering;
mod build;
mod files;
mod header;
mod model;
mod peers;
mod reader;
mod request_headers;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::path::{Path, PathBuf};

use discovery_map::Faults;

use reader::{FaultLog, Section};

pub use answering::AnsweringPolicy;
pub(crate) use files::check_front_proxy;
pub(crate) use header::{RequestHeaders, Role};
pub use model::Config;
#[cfg(test)]
pub(crate) use model::ListenerTls;
pub(crate) use model::{
    AdsServer, CredentialFiles, PeerTls, Polling, module_at_servers, too_many_for_attempts,
};
pub(crate) use peers::{
    Access, DnsSource, MAX_PEERS, Peer, PeerSource, Records, SlicePort, SlicesSource,
};
pub(crate) use request_headers::MAX_NAMES;
pub(crate) use value::{ClusterPrefix, PeerName, ServerName};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read; the next attempt may succeed.
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file's content is not a valid configuration; it must be edited.
    #[error("{}", .0.lines())]
    Invalid(#[from] Faults),
}

impl Config {
    /// Reads and validates a file, and the files that it names.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config = Self::from_yaml(&text)?;
        config.check_files()?;
        Ok(config)
    }

    /// Validates a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, Faults> {
        let log = FaultLog::default();
        let config = Section::document(text, &log).and_then(build::config);
        if let Ok(config) = &config {
            ads::check(config, &log);
        }
        log.into_result(config)
    }
}
