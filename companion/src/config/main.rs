//! The validated configuration of the companion: what it has once, and its control planes.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use discovery_map::{Fault, Faults};

use super::model::Config;
use super::value::ClusterPrefix;
use crate::certificates::KeyPairFiles;

/// The validated main file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainConfig {
    /// Where the companion's own HTTP endpoint listens; always loopback.
    pub listen: SocketAddr,
    /// Where its health and its metrics can be read from other hosts, if they can.
    pub metrics_listen: Option<SocketAddr>,
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
    /// The Envoys that it serves; never empty.
    pub allowed_clients: Vec<AllowedClient>,
    /// How many streams it serves at once.
    pub max_clients: usize,
}

/// Envoys that are served over ADS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedClient {
    /// A name in their certificates.
    pub name: String,
    /// The control planes that they may have. `None` for all.
    pub control_planes: Option<BTreeSet<ClusterPrefix>>,
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
    /// Returns a warning: what is valid, but needs a matching setting elsewhere.
    pub fn warning(&self) -> Option<String> {
        self.only()?.warning()
    }

    /// Returns the fields that `next` changes although a running companion
    /// cannot change them: its own endpoint and the places of its files.
    pub fn fixed_fields_changed(&self, next: &Self) -> Option<Faults> {
        let (ads, next_ads) = (self.ads.as_ref(), next.ads.as_ref());
        let (only, next_only) = (self.only(), next.only());
        let listen = |ads: &AdsServer| ads.listen;
        let max_clients = |ads: &AdsServer| ads.max_clients;
        let secret = |config: &Arc<Config>| config.front_proxy_secret.clone();
        let output = |config: &Arc<Config>| config.envoy.directory.clone();
        let fixed = |config: &Arc<Config>| config.envoy.fixed_clusters;
        let path = |directory: &ControlPlaneDirectory| directory.path.clone();
        let changes = [
            ("ads.listen", ads.map(listen) != next_ads.map(listen)),
            ("ads.frontProxySecret", only.map(secret) != next_only.map(secret)),
            ("ads.maxClients", ads.map(max_clients) != next_ads.map(max_clients)),
            ("listen", self.listen != next.listen),
            ("metricsListen", self.metrics_listen != next.metrics_listen),
            ("stateDirectory", self.state_directory != next.state_directory),
            ("envoy.directory", only.map(output) != next_only.map(output)),
            ("envoy.fixedClusters", only.map(fixed) != next_only.map(fixed)),
            ("controlPlanes.directory", self.many().map(path) != next.many().map(path)),
        ];
        let problem = "cannot change while the companion runs; restart the companion";
        let faults = changes
            .into_iter()
            .filter(|&(_, changed)| changed)
            .map(|(place, _)| Fault::new(place, problem));
        Faults::from_list(faults.collect()).err()
    }

    /// Returns the only control plane. `None` if there can be many.
    pub fn only(&self) -> Option<&Arc<Config>> {
        match &self.control_planes {
            ControlPlanes::One(config) => Some(config),
            ControlPlanes::Many(_) => None,
        }
    }

    /// Returns the directory of the control planes, if there can be many.
    pub fn many(&self) -> Option<&ControlPlaneDirectory> {
        match &self.control_planes {
            ControlPlanes::One(_) => None,
            ControlPlanes::Many(directory) => Some(directory),
        }
    }
}
