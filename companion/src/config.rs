//! The configuration: what the files say, checked.
//!
//! Two steps, in the direction of the arrow. Nothing else in the crate reads
//! YAML of these files, and a [`MainConfig`] or [`Config`] exists only if the whole file is valid:
//!
//! ```text
//!  main file ──┬─ reader (fields, paths, faults) ─┬─ build_main ── MainConfig ──┬─ files (what
//!  control     │                                  │                Config ──────┤  it names)
//!  plane's ────┘                                  └─ build_one_of_many ── Config┘
//! ```
//!
//! Every fault of the file is reported at once, each with its field path, so
//! that an operator need not restart once for each.

mod ads;
mod answering;
mod build;
mod build_main;
mod build_one_of_many;
mod events;
mod files;
mod header;
mod main;
mod mirror;
mod model;
mod peers;
mod reader;
mod request_headers;
mod skew_policy;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::path::{Path, PathBuf};

use discovery_map::Faults;

use reader::{FaultLog, Section};

pub use answering::AnsweringPolicy;
pub(crate) use events::EventsTarget;
pub(crate) use files::check_front_proxy;
pub(crate) use header::{RequestHeaders, Role};
pub(crate) use main::{AdsServer, AllowedClient};
pub use main::{ControlPlaneDirectory, ControlPlanes, MainConfig};
pub(crate) use mirror::Companions;
pub use mirror::MirrorConfig;
pub use model::Config;
pub(crate) use model::{
    CredentialFiles, PeerTls, Polling, module_at_servers, too_many_for_attempts,
};
pub(crate) use peers::{
    Access, DnsSource, MAX_PEERS, Peer, PeerSource, Records, SlicePort, SlicesSource,
};
pub(crate) use request_headers::MAX_NAMES;
pub use skew_policy::SkewPolicy;
pub use value::ClusterPrefix;
pub(crate) use value::{PeerName, ServerName};

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

impl MainConfig {
    /// Reads and validates the main file, and the files that it names, but not those of many
    /// control planes.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::from_yaml(&read(path)?)?;
        config.check_files()?;
        Ok(config)
    }

    /// Validates the text of a main file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, Faults> {
        let log = FaultLog::default();
        let config = Section::document(text, &log).and_then(build_main::main);
        if let Ok(config) = &config {
            ads::check(config, &log);
        }
        log.into_result(config)
    }
}

impl ControlPlaneDirectory {
    /// Validates the text of the file of a control plane.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn control_plane(&self, name: &ClusterPrefix, text: &str) -> Result<Config, Faults> {
        let log = FaultLog::default();
        let config = Section::document(text, &log)
            .and_then(|section| build_one_of_many::one_of_many(section, name, self));
        log.into_result(config)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    crate::files::read_text(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
impl Config {
    /// Returns the only control plane of a main file.
    pub(crate) fn from_yaml(text: &str) -> Result<Self, Faults> {
        match MainConfig::from_yaml(text)?.control_planes {
            ControlPlanes::One(config) => Ok(std::sync::Arc::unwrap_or_clone(config)),
            ControlPlanes::Many(_) => Err(Faults::one("controlPlanes", "are many")),
        }
    }
}
