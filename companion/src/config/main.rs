//! The validated configuration of the companion: what it has once, and its control planes.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use discovery_map::{Fault, Faults};

use super::model::Config;
use crate::certificates::KeyPairFiles;

/// The validated main file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainConfig {
    /// Where the companion's own HTTP endpoint listens; always loopback.
    pub listen: SocketAddr,
    /// Where the companion keeps what it must remember over a restart.
    pub state_directory: PathBuf,
    /// Where Envoys get their resources over ADS, if they do.
    pub ads: Option<AdsServer>,
    /// The control planes.
    pub control_planes: ControlPlanes,
}

/// The control planes that the main file has or names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlPlanes {
    /// A single one, in the main file.
    One(Arc<Config>),
    /// Any number, each in a file of its own.
    Many(ControlPlaneDirectory),
}

/// A directory with a file for each control plane, and what all of them have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneDirectory {
    /// Where the files are.
    pub path: PathBuf,
    /// The directory with the state of each, in a directory of its own.
    pub states: PathBuf,
    /// The file that the listener is made from.
    pub listener_template: PathBuf,
    /// The path of the filter, as Envoy sees it.
    pub filter_module: PathBuf,
    /// How long a cluster outlives the last map that named it.
    pub cluster_removal_delay: Duration,
}

/// The companion as an ADS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdsServer {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate.
    pub pair: KeyPairFiles,
    /// The certificates (PEM) that verify the Envoys' own.
    pub client_ca_file: PathBuf,
    /// The Envoys that it serves, by a name in their certificates; never empty.
    pub allowed_client_names: Vec<String>,
    /// How many streams it serves at once.
    pub max_clients: usize,
}

/// What the file says of them, in a few words: `2 peers`, `control planes in …`.
impl Display for ControlPlanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(config) => config.peers.fmt(f),
            Self::Many(directory) => write!(f, "control planes in {}", directory.path.display()),
        }
    }
}

impl MainConfig {
    /// Returns what is valid, and needs another setting elsewhere.
    pub fn warning(&self) -> Option<String> {
        match &self.control_planes {
            ControlPlanes::One(config) => config.warning(),
            ControlPlanes::Many(_) => None,
        }
    }

    /// Returns the fields that `next` changes although a running companion
    /// cannot change them: its own endpoint and the places of its files.
    pub fn fixed_fields_changed(&self, next: &Self) -> Option<Faults> {
        let ads = |config: &Self| config.ads.as_ref().map(|ads| (ads.listen, ads.max_clients));
        let (listen, max_clients) = (ads(self).map(|ads| ads.0), ads(self).map(|ads| ads.1));
        let one = |config: &Self| match &config.control_planes {
            ControlPlanes::One(config) => {
                (config.envoy.directory.clone(), config.front_proxy_secret.clone())
            }
            ControlPlanes::Many(_) => (None, None),
        };
        let ((directory, secret), (next_directory, next_secret)) = (one(self), one(next));
        let changes = [
            ("ads.listen", listen != ads(next).map(|ads| ads.0)),
            ("ads.frontProxySecret", secret != next_secret),
            ("ads.maxClients", max_clients != ads(next).map(|ads| ads.1)),
            ("listen", self.listen != next.listen),
            ("stateDirectory", self.state_directory != next.state_directory),
            ("envoy.directory", directory != next_directory),
            ("controlPlanes.directory", self.directory() != next.directory()),
        ];
        let problem = "cannot change while the companion runs; restart the companion";
        let faults = changes
            .into_iter()
            .filter(|&(_, changed)| changed)
            .map(|(place, _)| Fault::new(place, problem));
        Faults::from_list(faults.collect()).err()
    }

    /// Returns the directory of the control planes, if there is one.
    fn directory(&self) -> Option<&Path> {
        match &self.control_planes {
            ControlPlanes::One(_) => None,
            ControlPlanes::Many(many) => Some(&many.path),
        }
    }
}
