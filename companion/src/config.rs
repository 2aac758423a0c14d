//! The configuration: what the file says, checked.
//!
//! Two steps, in the direction of the arrow; nothing else in the crate reads
//! YAML, and a [`Config`] exists only if the whole file is sound:
//!
//! ```text
//!  YAML text ── reader (fields, paths, faults) ── Config ── files (what it names)
//! ```
//!
//! Every fault of the file is reported at once, each with its field path, for
//! an operator who mends one fault at a time restarts once a fault.

mod build;
mod files;
mod header;
mod reader;
mod strict;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificates::KeyPairFiles;

pub(crate) use files::check_front_proxy;
pub use header::{HeaderName, HeaderPrefix, RequestHeaders, Role};
pub use reader::{Fault, Faults};
pub use strict::{OnNoAnswer, StrictNotFound};
pub use value::{ClusterPrefix, InvalidValue, PeerName, ServerName};

/// The validated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the companion's own HTTP endpoint listens; always loopback.
    pub listen: SocketAddr,
    /// Where the companion keeps what it must remember over a restart.
    pub state_directory: PathBuf,
    /// The kube-apiservers; never empty, names and addresses unique.
    pub peers: Vec<Peer>,
    /// How the peers prove who they are.
    pub peer_tls: PeerTls,
    /// How the companion proves who it is.
    pub credentials: Credentials,
    /// What is written for Envoy.
    pub envoy: EnvoyOutput,
    /// How the peers are asked.
    pub polling: Polling,
    /// How long the types of a peer that is out of rotation are remembered.
    pub forget_after: Duration,
    /// What Envoy shows its clients, when the companion publishes that.
    pub listener_tls: Option<ListenerTls>,
    /// The front-proxy client certificate, when there is one.
    pub front_proxy: Option<KeyPairFiles>,
    /// By which headers a front proxy speaks to the peers, until they say so
    /// themselves.
    pub request_headers: RequestHeaders,
    /// Whether, and how, the filter asks before a type-level 404 passes.
    pub strict_not_found: Option<StrictNotFound>,
}

/// What Envoy shows its clients, and which certificates of theirs it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The server's certificate.
    pub pair: KeyPairFiles,
    /// The certificates (PEM) that verify the clients' own; without it no
    /// client is asked for one.
    pub client_ca_file: Option<PathBuf>,
}

/// One kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name in the map, in clusters, metrics and logs.
    pub name: PeerName,
    /// Where Envoy and the companion reach it.
    pub address: SocketAddr,
}

/// How the peers prove who they are, to the companion and to Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTls {
    /// The certificates (PEM) that verify the peers' own.
    pub ca_file: PathBuf,
    /// The DNS name that every peer's certificate carries.
    pub server_name: ServerName,
}

/// How the companion proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A bearer token.
    Token {
        /// The file that holds the token and nothing else.
        file: PathBuf,
    },
    /// A client certificate.
    ClientCertificate(KeyPairFiles),
}

/// What is written for Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyOutput {
    /// The directory of `cds.json`, `ecds.json` and `eds/`.
    pub directory: PathBuf,
    /// The filter, as Envoy sees it.
    pub filter_module: PathBuf,
    /// The default cluster's name, and the beginning of every other's.
    pub cluster_prefix: ClusterPrefix,
    /// How long a cluster outlives the last map that named it.
    pub cluster_removal_delay: Duration,
}

/// How the peers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The time from one round to the next.
    pub interval: Duration,
    /// The time in which an answer must be complete.
    pub timeout: Duration,
    /// The size above which an answer is not read on.
    pub max_response_bytes: u64,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself cannot be read; it may be there the next time.
    #[error("{path}: {source}")]
    Unreadable {
        /// The configuration file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file's content is not a configuration; it must be edited.
    #[error(transparent)]
    Invalid(#[from] Faults),
}

impl Config {
    /// Reads and validates a file, with the files that it names.
    ///
    /// # Errors
    /// The file cannot be read, or anything in it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
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
        build::config(text)
    }

    /// Checks that the files to be read are there and of the right kind.
    ///
    /// # Errors
    /// Every file that is not.
    pub fn check_files(&self) -> Result<(), Faults> {
        files::check(self)
    }

    /// What a running companion cannot change, compared with the next
    /// configuration: its own endpoint and the places of its files.
    #[must_use]
    pub fn fixed_fields_changed(&self, next: &Self) -> Option<Faults> {
        let changes = [
            ("listen", self.listen != next.listen),
            ("stateDirectory", self.state_directory != next.state_directory),
            ("envoy.directory", self.envoy.directory != next.envoy.directory),
        ];
        let faults = changes
            .into_iter()
            .filter(|&(_, changed)| changed)
            .map(|(place, _)| Fault::new(place, "cannot change while running: restart instead"));
        Faults::from_list(faults.collect()).err()
    }
}
