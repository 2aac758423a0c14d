//! What is published, and what must still be there for a while. Synchronous:
//! `publish/task.rs` says when.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use discovery_map::{DiscoveryMap, Document, FRONT_PROXY_SUFFIX, Faults};
use serde_json::Value;

use super::found;
use super::secrets::SecretFiles;
use crate::config::Config;
use crate::files::{Access, DiskError, Written};
use crate::index::{Cluster, Snapshot};
use crate::secrets::{Secrets, Settings};
use crate::state::{State, StateError, Store};
use crate::xds;

#[cfg(test)]
mod tests;

/// What was published last.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The map, with its generation.
    pub document: Arc<Document>,
    /// How many targets some peers serve and some do not.
    pub skewed_targets: usize,
    /// When.
    pub at: SystemTime,
}

/// Why nothing, or not everything, was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The map is not sound: a fault of this program. A retry does not help.
    #[error("the map is not valid: {0}")]
    InvalidMap(#[from] Faults),
    /// Something cannot be written as JSON; a fault of this program.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A file cannot be written. It may be possible the next time.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state cannot be written. It may be possible the next time.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Writes the files.
pub struct Publisher {
    config: Arc<Config>,
    secrets: Secrets,
    store: Store,
    written: Written,
    secret_files: SecretFiles,
    generation: u64,
    /// What was pushed last, with the twins.
    last: Option<(Snapshot, Publication)>,
    /// The configuration changed what the files say.
    outdated: bool,
    /// The clusters name secrets that are no longer the right ones.
    rotated: bool,
    /// The secret that the twins present.
    front_proxy: Option<String>,
    /// The generation in `cds.json`, and the resources there.
    clusters: Option<(u64, Vec<Value>)>,
    /// The endpoints of each cluster as they are on disk.
    endpoints: BTreeMap<String, Vec<SocketAddr>>,
    /// Clusters that no map names any more, and how long they still stay.
    retired: BTreeMap<String, Duration>,
}

/// The time in which Envoy takes up a file; it watches each on its own, so
/// files that are renamed in a row may be read in another order.
const TAKE_UP: Duration = Duration::from_millis(50);

impl Publisher {
    /// Looks at what an earlier run left: generations go on from the greatest,
    /// and clusters that are there stay a while, for Envoy's map may name them.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub fn new(settings: &Settings, store: Store, state: &State) -> Result<Self, PublishError> {
        let Settings { config, secrets } = settings.clone();
        let directory = &config.envoy.directory;
        let endpoints = directory.join("eds");
        fs::create_dir_all(&endpoints)
            .map_err(|source| DiskError::new("cannot make", &endpoints, source))?;
        let found = ["cds.json", "ecds.json"].map(|file| found::version(&directory.join(file)));
        let greatest = found.into_iter().flatten().chain(state.generation).max();
        // Envoys may still hold a map of which nothing is left here.
        let seconds = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let generation = greatest.unwrap_or_else(|| seconds().map_or(0, |since| since.as_secs()));
        let found: BTreeMap<_, _> = found::clusters(&endpoints).collect();
        let delay = config.envoy.cluster_removal_delay;
        let retired = found.keys().map(|name| (name.clone(), delay)).collect();
        let secret_files = SecretFiles::open(directory.join("sds"), delay)?;
        let front_proxy = found::front_proxy(&directory.join("cds.json"));
        Ok(Self {
            config,
            secrets,
            store,
            written: Written::default(),
            secret_files,
            generation,
            last: None,
            outdated: false,
            rotated: false,
            front_proxy,
            clusters: None,
            endpoints: found,
            retired,
        })
    }

    /// Takes another configuration or other secrets: what they change in
    /// clusters and filter is in the next push.
    pub fn configure(&mut self, settings: &Settings) {
        let Settings { config, secrets } = settings.clone();
        self.outdated |=
            (&self.config.envoy, &self.config.peer_tls) != (&config.envoy, &config.peer_tls);
        self.rotated |= !self.secrets.same_upstream(&secrets);
        self.config = config;
        self.secrets = secrets;
    }

    /// Publishes what the listener needs. That waits for nothing: it is right
    /// whatever the peers serve.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn write_listener(&mut self) -> Result<(), PublishError> {
        self.secret_files.write_listener(&self.secrets, &mut self.written)
    }

    /// Publishes what differs from what is there, and returns what is
    /// published if that is a new map.
    ///
    /// # Errors
    /// Something could not be written: the next call goes on from there.
    pub fn push(&mut self, snapshot: &Snapshot) -> Result<Option<Publication>, PublishError> {
        let snapshot = &with_twins(snapshot, self.secrets.front_proxy.is_some());
        let same = |last: &Snapshot| {
            last.document == snapshot.document && last.clusters == snapshot.clusters
        };
        if let Some((last, _)) = &self.last
            && !self.outdated
            && same(last)
        {
            if self.rotated {
                self.write_clusters_alone(snapshot)?;
                let generation = self.generation;
                tracing::info!(generation, "clusters published with other certificates");
            } else if last.memory != snapshot.memory {
                self.remember(snapshot)?;
            }
            if let Some((last, _)) = &mut self.last {
                last.clone_from(snapshot);
            }
            return Ok(None);
        }
        self.write_all(snapshot).map(Some)
    }

    /// Publishes again, as a whole and with a new generation: what Envoy
    /// refused once it must not take for what it has seen.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn push_again(&mut self) -> Result<Option<Publication>, PublishError> {
        self.write_listener()?;
        let Some((snapshot, _)) = self.last.clone() else { return Ok(None) };
        self.clusters = None;
        self.write_all(&snapshot).map(Some)
    }

    /// The files that are no longer what was written.
    pub fn damaged(&mut self) -> Vec<PathBuf> {
        self.written.take_damaged()
    }

    /// Lets time pass for the clusters and secrets that are to go; removes
    /// those whose time has come.
    ///
    /// # Errors
    /// A file could not be written or removed.
    pub fn expire(&mut self, passed: Duration) -> Result<(), PublishError> {
        for remaining in self.retired.values_mut() {
            *remaining = remaining.saturating_sub(passed);
        }
        self.secret_files.pass(passed);
        let Some((snapshot, _)) = &self.last else { return Ok(()) };
        if self.retired.values().any(Duration::is_zero) {
            let snapshot = snapshot.clone();
            self.expire_clusters(&snapshot)?;
        }
        // Only now: what went was the last to name some of them.
        Ok(self.secret_files.remove_expired(&mut self.written)?)
    }

    fn expire_clusters(&mut self, snapshot: &Snapshot) -> Result<(), PublishError> {
        let gone = self.retired.iter().filter(|(_, remaining)| remaining.is_zero());
        let names: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
        self.retired.retain(|_, remaining| !remaining.is_zero());
        self.write_clusters_alone(snapshot)?;
        for name in names {
            self.endpoints.remove(&name);
            self.written.remove(&self.endpoints_file(&name))?;
        }
        Ok(())
    }

    /// Writes the clusters with a generation of their own; the map stays.
    fn write_clusters_alone(&mut self, snapshot: &Snapshot) -> Result<(), PublishError> {
        self.generation = self.generation.saturating_add(1);
        self.remember(snapshot)?;
        self.write_clusters(snapshot)?;
        Ok(())
    }

    fn write_all(&mut self, snapshot: &Snapshot) -> Result<Publication, PublishError> {
        let mut document = snapshot.document.clone();
        document.generation = self.generation.saturating_add(1);
        let map = DiscoveryMap::try_from(document.clone())?;
        let json = document.to_json()?;
        self.retire(snapshot);
        self.generation = document.generation;
        self.remember(snapshot)?;

        let growing = self.shrink_endpoints(snapshot)?;
        if self.write_clusters(snapshot)? {
            std::thread::sleep(TAKE_UP);
        }
        let filter = xds::filter(&json, &self.config.envoy.filter_module);
        self.write_response("ecds.json", self.generation, &[filter])?;
        if !growing.is_empty() {
            std::thread::sleep(TAKE_UP);
        }
        for cluster in growing {
            self.write_endpoints(&cluster.name, &cluster.endpoints)?;
        }

        let publication = Publication {
            document: Arc::new(document),
            skewed_targets: map.skewed_targets(),
            at: SystemTime::now(),
        };
        self.last = Some((snapshot.clone(), publication.clone()));
        self.outdated = false;
        Ok(publication)
    }

    /// Keeps the clusters that the next map does not name, and takes back
    /// those that it names again.
    fn retire(&mut self, next: &Snapshot) {
        let delay = self.config.envoy.cluster_removal_delay;
        if let Some((last, _)) = &self.last {
            for cluster in &last.clusters {
                self.retired.insert(cluster.name.clone(), delay);
            }
        }
        for cluster in &next.clusters {
            self.retired.remove(&cluster.name);
        }
    }

    fn remember(&self, snapshot: &Snapshot) -> Result<(), StateError> {
        self.store
            .save(&State { generation: Some(self.generation), memory: snapshot.memory.clone() })
    }

    /// Takes the endpoints that are to leave out of their clusters, and fills
    /// the clusters that are new; returns those that are still to grow.
    ///
    /// The map that Envoy has says what *all* of a cluster's endpoints serve.
    /// One that does not may join only when the next map is there, and one
    /// whose types the next map counts on must have left before it.
    fn shrink_endpoints<'s>(
        &mut self,
        snapshot: &'s Snapshot,
    ) -> Result<Vec<&'s Cluster>, PublishError> {
        let mut growing = Vec::new();
        for cluster in &snapshot.clusters {
            let next = &cluster.endpoints;
            let now = self.endpoints.get(&cluster.name).map_or(next.as_slice(), Vec::as_slice);
            let mut both: Vec<_> = next.iter().copied().filter(|to| now.contains(to)).collect();
            if both.is_empty() {
                both.clone_from(next);
            }
            if both != *next {
                growing.push(cluster);
            }
            self.write_endpoints(&cluster.name, &both)?;
        }
        // Those that only the last map names, and that were damaged.
        for name in self.retired.keys().cloned().collect::<Vec<_>>() {
            let endpoints = self.endpoints.get(&name).cloned().unwrap_or_default();
            self.write_endpoints(&name, &endpoints)?;
        }
        Ok(growing)
    }

    fn write_endpoints(&mut self, name: &str, to: &[SocketAddr]) -> Result<(), PublishError> {
        // The version is that of the content: the endpoints of a cluster
        // mostly stay the same from push to push.
        let response = xds::response(1, &[xds::endpoints(name, to)]);
        let path = self.endpoints_file(name);
        self.written.write(&path, &serde_json::to_vec(&response)?, Access::Umask)?;
        self.endpoints.insert(name.to_owned(), to.to_vec());
        Ok(())
    }

    /// With the secrets that they name; whether there was anything to write.
    fn write_clusters(&mut self, snapshot: &Snapshot) -> Result<bool, PublishError> {
        let delay = self.config.envoy.cluster_removal_delay;
        self.secret_files.write_upstream(&self.secrets, delay, &mut self.written)?;
        if let Some(pair) = &self.secrets.front_proxy {
            self.front_proxy = Some(xds::front_proxy_name(pair));
        }
        let named = snapshot.clusters.iter().map(|cluster| &cluster.name);
        let mut names: Vec<_> = named.chain(self.retired.keys()).collect();
        names.sort_unstable();
        let resources: Vec<_> = names.into_iter().filter_map(|name| self.cluster(name)).collect();
        let version = match &self.clusters {
            Some((version, before)) if *before == resources => *version,
            _ => self.generation,
        };
        let written = self.write_response("cds.json", version, &resources)?;
        self.clusters = Some((version, resources));
        self.rotated = false;
        Ok(written)
    }

    /// None for a twin of an earlier run of which the certificate is not known.
    fn cluster(&self, name: &str) -> Option<Value> {
        let present = match name.ends_with(FRONT_PROXY_SUFFIX) {
            true => Some(self.front_proxy.as_deref()?),
            false => None,
        };
        let tls = xds::UpstreamTls {
            server_name: &self.config.peer_tls.server_name,
            secrets: self.secret_files.directory(),
            peer_ca: &xds::peer_ca_name(&self.secrets.peer_ca),
            present,
        };
        Some(xds::cluster(name, &self.endpoints_file(name), tls))
    }

    fn write_response(
        &mut self,
        file: &str,
        version: u64,
        resources: &[Value],
    ) -> Result<bool, PublishError> {
        let path = self.config.envoy.directory.join(file);
        let content = serde_json::to_vec(&xds::response(version, resources))?;
        Ok(self.written.write(&path, &content, Access::Umask)?)
    }

    fn endpoints_file(&self, cluster: &str) -> PathBuf {
        self.config.envoy.directory.join("eds").join(format!("{cluster}.json"))
    }
}

/// The snapshot with the twin of each cluster, if there is a front proxy and
/// its certificate; else with none, and a map that says so.
fn with_twins(snapshot: &Snapshot, certificate: bool) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let identity = &mut snapshot.document.identity;
    identity.front_proxy &= certificate;
    if identity.front_proxy {
        let twins: Vec<_> = snapshot.clusters.iter().map(twin).collect();
        snapshot.clusters.extend(twins);
    }
    snapshot
}

/// The same peers, over connections that present the front-proxy certificate.
fn twin(cluster: &Cluster) -> Cluster {
    Cluster {
        name: format!("{}{FRONT_PROXY_SUFFIX}", cluster.name),
        endpoints: cluster.endpoints.clone(),
    }
}
