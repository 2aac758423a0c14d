//! What is published, and what must still be there for a while. Synchronous:
//! `publish/task.rs` says when.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use discovery_map::{DiscoveryMap, Document, Faults};
use serde_json::Value;

use super::disk::{DiskError, Written};
use super::found;
use crate::config::Config;
use crate::index::{Cluster, Snapshot};
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
    store: Store,
    written: Written,
    generation: u64,
    last: Option<(Snapshot, Publication)>,
    /// The configuration changed what the files say.
    outdated: bool,
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
    pub fn new(config: Arc<Config>, store: Store, state: &State) -> Result<Self, PublishError> {
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
        Ok(Self {
            config,
            store,
            written: Written::default(),
            generation,
            last: None,
            outdated: false,
            clusters: None,
            endpoints: found,
            retired,
        })
    }

    /// Takes another configuration: what it changes in clusters and filter is
    /// in the next push.
    pub fn configure(&mut self, config: Arc<Config>) {
        self.outdated |=
            (&self.config.envoy, &self.config.peer_tls) != (&config.envoy, &config.peer_tls);
        self.config = config;
    }

    /// Publishes what differs from what is there, and returns what is
    /// published if that is a new map.
    ///
    /// # Errors
    /// Something could not be written: the next call goes on from there.
    pub fn push(&mut self, snapshot: &Snapshot) -> Result<Option<Publication>, PublishError> {
        let same = |last: &Snapshot| {
            last.document == snapshot.document && last.clusters == snapshot.clusters
        };
        if let Some((last, _)) = &self.last
            && !self.outdated
            && same(last)
        {
            if last.memory != snapshot.memory {
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
        let Some((snapshot, _)) = self.last.clone() else { return Ok(None) };
        self.clusters = None;
        self.write_all(&snapshot).map(Some)
    }

    /// The files that are no longer what was written.
    pub fn damaged(&mut self) -> Vec<PathBuf> {
        self.written.take_damaged()
    }

    /// Lets time pass for the clusters that are to go; removes those whose
    /// time has come.
    ///
    /// # Errors
    /// A file could not be written or removed.
    pub fn expire(&mut self, passed: Duration) -> Result<(), PublishError> {
        for remaining in self.retired.values_mut() {
            *remaining = remaining.saturating_sub(passed);
        }
        let Some((snapshot, _)) = self.last.clone() else { return Ok(()) };
        let gone = self.retired.iter().filter(|(_, remaining)| remaining.is_zero());
        let names: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.retired.retain(|_, remaining| !remaining.is_zero());
        self.generation = self.generation.saturating_add(1);
        self.remember(&snapshot)?;
        self.write_clusters(&snapshot)?;
        for name in names {
            self.endpoints.remove(&name);
            self.written.remove(&self.endpoints_file(&name))?;
        }
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
        self.written.write(&path, &serde_json::to_vec(&response)?)?;
        self.endpoints.insert(name.to_owned(), to.to_vec());
        Ok(())
    }

    /// Whether there was anything to write.
    fn write_clusters(&mut self, snapshot: &Snapshot) -> Result<bool, PublishError> {
        let named = snapshot.clusters.iter().map(|cluster| &cluster.name);
        let mut names: Vec<_> = named.chain(self.retired.keys()).collect();
        names.sort_unstable();
        let resources: Vec<_> = names
            .into_iter()
            .map(|name| xds::cluster(name, &self.endpoints_file(name), &self.config))
            .collect();
        let version = match &self.clusters {
            Some((version, before)) if *before == resources => *version,
            _ => self.generation,
        };
        let written = self.write_response("cds.json", version, &resources)?;
        self.clusters = Some((version, resources));
        Ok(written)
    }

    fn write_response(
        &mut self,
        file: &str,
        version: u64,
        resources: &[Value],
    ) -> Result<bool, PublishError> {
        let path = self.config.envoy.directory.join(file);
        let content = serde_json::to_vec(&xds::response(version, resources))?;
        Ok(self.written.write(&path, &content)?)
    }

    fn endpoints_file(&self, cluster: &str) -> PathBuf {
        self.config.envoy.directory.join("eds").join(format!("{cluster}.json"))
    }
}
