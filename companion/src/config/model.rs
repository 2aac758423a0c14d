//! The validated configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use discovery_map::{Fault, Faults};

use super::answering::AnsweringPolicy;
use super::header::RequestHeaders;
use super::peers::PeerSource;
use super::value::{ClusterPrefix, ServerName};
use crate::certificates::KeyPairFiles;

/// The validated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the companion's own HTTP endpoint listens; always loopback.
    pub listen: SocketAddr,
    /// Where the companion keeps what it must remember over a restart.
    pub state_directory: PathBuf,
    /// Where the kube-apiservers come from.
    pub peers: PeerSource,
    /// How the peers are verified.
    pub peer_tls: PeerTls,
    /// How the companion authenticates to the peers.
    pub credentials: CredentialFiles,
    /// What is written for Envoy.
    pub envoy: EnvoyOutput,
    /// Where Envoys get it over ADS, if they do.
    pub ads: Option<AdsServer>,
    /// How the peers are polled.
    pub polling: Polling,
    /// How long the types of a peer that is out of rotation are remembered.
    pub forget_after: Duration,
    /// Which version answers what peers of several versions can answer.
    pub answering_version: AnsweringPolicy,
    /// The certificates of Envoy's listener, if the companion publishes them.
    pub listener_tls: Option<ListenerTls>,
    /// The front-proxy client certificate, if there is one.
    pub front_proxy: Option<KeyPairFiles>,
    /// The identity headers that the peers read, until the cluster says which.
    pub request_headers: RequestHeaders,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The server's certificate.
    pub pair: KeyPairFiles,
    /// The certificates (PEM) that verify clients; without it no client is asked for a certificate.
    pub client_ca_file: Option<PathBuf>,
}

/// The attempts of the shipped routes to the rotation: `num_retries`, and the first one.
const ATTEMPTS: usize = 9;

/// How the companion and Envoy verify the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTls {
    /// The certificates (PEM) that verify the peers' own.
    pub ca_file: PathBuf,
    /// The DNS name that every peer's certificate carries.
    pub server_name: ServerName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialFiles {
    /// A bearer token.
    Token {
        /// The file that contains the token and nothing else.
        file: PathBuf,
    },
    /// A client certificate.
    ClientCertificate(KeyPairFiles),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyOutput {
    /// The directory of `cds.json`, `ecds.json`, `eds/` and `sds/`, if files are written.
    pub directory: Option<PathBuf>,
    /// The path of the filter, as Envoy sees it.
    pub filter_module: PathBuf,
    /// The default cluster's name, and the prefix of every other's.
    pub cluster_prefix: ClusterPrefix,
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
    /// The file with the front-proxy client certificate, as Envoy sees it.
    pub front_proxy_secret: Option<PathBuf>,
    /// How many streams it serves at once.
    pub max_clients: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The time from the start of one round to the start of the next.
    pub interval: Duration,
    /// The time in which an answer must be complete.
    pub timeout: Duration,
    /// The size in bytes above which an answer is not read on.
    pub max_response_bytes: u64,
}

/// Returns the path of the module that runs at the servers: it is beside the filter, and of the
/// same build.
pub fn module_at_servers(filter: &Path) -> PathBuf {
    let mut name = filter.file_stem().unwrap_or_default().to_owned();
    name.push("-at-server");
    if let Some(extension) = filter.extension() {
        name.push(".");
        name.push(extension);
    }
    filter.with_file_name(name)
}

/// Returns what so many peers need as a setting elsewhere.
pub fn too_many_for_attempts(peers: usize) -> Option<String> {
    (peers > ATTEMPTS).then(|| {
        format!(
            "{peers} peers are more than the {ATTEMPTS} attempts that Envoy makes as shipped: \
             requests for unknown types get 503; raise num_retries: {} in envoy.yaml",
            ATTEMPTS - 1
        )
    })
}

impl Config {
    /// Returns what is valid, and needs another setting elsewhere.
    pub fn warning(&self) -> Option<String> {
        too_many_for_attempts(self.peers.count()?)
    }

    /// Returns whether Envoys present a front-proxy certificate, published or their own.
    pub fn has_front_proxy(&self) -> bool {
        let own = self.ads.as_ref().is_some_and(|ads| ads.front_proxy_secret.is_some());
        self.front_proxy.is_some() || own
    }

    /// Returns the fields that `next` changes although a running companion
    /// cannot change them: its own endpoint and the places of its files.
    pub fn fixed_fields_changed(&self, next: &Self) -> Option<Faults> {
        let (ads, next_ads) = (self.ads.as_ref(), next.ads.as_ref());
        let changes = [
            ("ads.listen", ads.map(|ads| ads.listen) != next_ads.map(|ads| ads.listen)),
            (
                "ads.frontProxySecret",
                ads.map(|ads| &ads.front_proxy_secret)
                    != next_ads.map(|ads| &ads.front_proxy_secret),
            ),
            (
                "ads.maxClients",
                ads.map(|ads| ads.max_clients) != next_ads.map(|ads| ads.max_clients),
            ),
            ("listen", self.listen != next.listen),
            ("stateDirectory", self.state_directory != next.state_directory),
            ("envoy.directory", self.envoy.directory != next.envoy.directory),
        ];
        let problem = "cannot change while the companion runs; restart the companion";
        let faults = changes
            .into_iter()
            .filter(|&(_, changed)| changed)
            .map(|(place, _)| Fault::new(place, problem));
        Faults::from_list(faults.collect()).err()
    }
}
