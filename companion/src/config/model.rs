//! The validated configuration of one control plane.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use discovery_map::Mode;

use super::answering::AnsweringPolicy;
use super::events::EventsTarget;
use super::header::RequestHeaders;
use super::peers::PeerSource;
use super::skew_policy::SkewPolicy;
use super::value::{ClusterPrefix, ServerName};
use crate::certificates::KeyPairFiles;

/// The validated configuration of one control plane, whether it is the only one or one of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The names by which clients ask for this control plane, at least one. `None` if it is the
    /// only one: then every client does.
    pub server_names: Option<Vec<ServerName>>,
    /// Where the companion keeps what it must remember of it over a restart.
    pub state_directory: PathBuf,
    /// Where the kube-apiservers come from.
    pub peers: PeerSource,
    /// The peer on the host of Envoy, if there is one.
    pub local_peer: Option<SocketAddr>,
    /// How the peers are verified.
    pub peer_tls: PeerTls,
    /// How the companion authenticates to the peers.
    pub credentials: CredentialFiles,
    /// What is written for Envoy.
    pub envoy: EnvoyOutput,
    /// How the peers are polled.
    pub polling: Polling,
    /// How long the types of a peer that is out of rotation are remembered.
    pub forget_after: Duration,
    /// Whether the peers that a source has first are all that it had within `forget_after`.
    pub trust_first_peers: bool,
    /// How much of its decisions the filter carries out.
    pub mode: Mode,
    /// The groups whose users are told how each of their requests was decided.
    pub decision_header_groups: Vec<String>,
    /// Which version answers what peers of several versions can answer, unless the mode is shadow.
    pub answering_version: AnsweringPolicy,
    /// Whether components are answered by no server that is older than themselves.
    pub skew_policy: SkewPolicy,
    /// The certificate of Envoy's listener, if the companion publishes it.
    pub listener_tls: Option<KeyPairFiles>,
    /// The certificates (PEM) that verify clients; without it no client is asked for a certificate.
    pub client_ca_file: Option<PathBuf>,
    /// The front-proxy client certificate, if the companion publishes it.
    pub front_proxy: Option<KeyPairFiles>,
    /// The file with the front-proxy client certificate, as an Envoy that is served over ADS sees it.
    pub front_proxy_secret: Option<PathBuf>,
    /// The identity headers that the peers read, until the cluster says which.
    pub request_headers: RequestHeaders,
    /// What Kubernetes Events are about, if the companion writes them.
    pub events: Option<EventsTarget>,
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
    /// Whether the clusters are configured elsewhere, once and for all.
    pub fixed_clusters: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The time from the start of one round to the start of the next.
    pub interval: Duration,
    /// The time in which an answer must be complete.
    pub timeout: Duration,
    /// The bytes that are read of a peer's discovery in a round, and of any other answer.
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

    /// Returns the policy by which a version is chosen. In shadow mode, all of them answer, as at a
    /// load balancer that knows nothing of versions.
    pub fn answering_policy(&self) -> AnsweringPolicy {
        if self.mode == Mode::Shadow { AnsweringPolicy::Any } else { self.answering_version }
    }

    /// Returns whether Envoys present a front-proxy certificate, published or their own.
    pub fn has_front_proxy(&self) -> bool {
        self.front_proxy.is_some() || self.front_proxy_secret.is_some()
    }

    /// Returns the name of the control plane if it is one of many.
    pub fn name(&self) -> Option<&ClusterPrefix> {
        self.server_names.as_ref().map(|_| &self.envoy.cluster_prefix)
    }
}
