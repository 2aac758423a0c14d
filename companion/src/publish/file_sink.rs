//! Carries resources in files, which Envoy watches.
//!
//! Invariants:
//! - A file is written as a whole, and only if its content changes.
//! - A file with a key in it is readable by its owner alone, at any time.
//! - No content is taken from a file: which files there are, and that they are JSON, says which
//!   resources there are.

mod fixed;
mod layout;
mod written;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::PublishError;
use super::plan::{Name, Step};
use super::sink::Sink;
use crate::config::ClusterPrefix;
use crate::endpoints::Addresses;
use crate::files::{self, Access};
use crate::xds::{self, Cluster, ConfigSource};
use fixed::FixedClusters;
use layout::Layout;
use written::Written;

/// The time in which Envoy takes up a file. It watches each file on its own, and may read two that
/// were renamed in a row in either order.
const TAKE_UP: Duration = Duration::from_millis(50);

/// Files in one directory.
#[derive(Debug)]
pub struct FileSink {
    layout: Layout,
    written: Written,
    /// If the clusters are fixed.
    fixed: Option<FixedClusters>,
    /// When the clusters, the endpoints of fixed ones or the filter were written, if Envoy may not
    /// have them yet.
    pending: Option<Instant>,
}

impl FileSink {
    /// Makes the directories, and removes what a killed companion left of secrets: it may hold a
    /// key.
    pub fn open(directory: &Path) -> Result<Self, PublishError> {
        let layout = Layout::new(directory);
        layout.directories().iter().try_for_each(|directory| files::create_directory(directory))?;
        layout.unfinished_secrets().try_for_each(|file| files::remove(&file))?;
        Ok(Self { layout, written: Written::default(), fixed: None, pending: None })
    }

    /// Lets the sink write the endpoints of fixed clusters, going on from those of an earlier run. An
    /// Envoy that has the clusters already finds a file for each, if there was no earlier run, too.
    pub fn with_fixed_clusters(
        mut self,
        prefix: ClusterPrefix,
        published: Addresses,
    ) -> Result<Self, PublishError> {
        let fixed = self.fixed.insert(FixedClusters::new(prefix, published));
        let endpoints = fixed.endpoints();
        self.write_endpoints(endpoints)?;
        Ok(self)
    }

    /// Writes a response with these resources. If it has a version, Envoy must have it before the
    /// next step. Endpoints and secrets have none: Envoy compares their content, which mostly stays
    /// the same from push to push, and opens their files when it gets the clusters that name them.
    fn write(
        &mut self,
        path: &Path,
        version: Option<u64>,
        resources: &[Value],
        access: Access,
    ) -> Result<(), PublishError> {
        let content = serde_json::to_vec(&xds::response(version.unwrap_or(1), resources))?;
        if self.written.write(path, &content, access)? && version.is_some() {
            self.pending = Some(Instant::now());
        }
        Ok(())
    }

    /// Writes the endpoints of clusters. Envoy must have those of fixed ones before the next step, as
    /// it must have clusters.
    fn write_endpoints(&mut self, all: Vec<(String, Value)>) -> Result<(), PublishError> {
        let version = self.fixed.is_some().then_some(1);
        for (cluster, endpoints) in all {
            let path = self.layout.named(&Name::Endpoints(cluster));
            self.write(&path, version, &[endpoints], Access::Umask)?;
        }
        Ok(())
    }

    fn remove(&mut self, names: &BTreeSet<Name>) -> Result<(), PublishError> {
        for name in names {
            match (&mut self.fixed, name) {
                (Some(fixed), Name::Endpoints(cluster)) => fixed.remove(cluster),
                _ => self.written.remove(&self.layout.named(name))?,
            }
        }
        let fixed = self.fixed.as_ref().map(FixedClusters::endpoints);
        self.write_endpoints(fixed.unwrap_or_default())
    }

    fn source(&self, name: &Name) -> ConfigSource {
        ConfigSource::Path(self.layout.named(name))
    }

    fn cluster(&self, cluster: &Cluster) -> Value {
        let endpoints = self.source(&Name::Endpoints(cluster.name.clone()));
        cluster.to_json(&endpoints, |name| self.source(&Name::Secret(name.to_owned())))
    }
}

impl Sink for FileSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        if let Some(written) = self.pending.take() {
            std::thread::sleep(TAKE_UP.saturating_sub(written.elapsed()));
        }
        match step {
            Step::Secrets(secrets) => {
                for secret in secrets {
                    let access = if secret.is_private() { Access::Owner } else { Access::Umask };
                    let path = self.layout.named(&Name::Secret(secret.name.clone()));
                    self.write(&path, None, &[secret.to_json()], access)?;
                }
            }
            Step::Endpoints(all) => {
                let endpoints = match &mut self.fixed {
                    Some(fixed) => {
                        fixed.extend(all);
                        fixed.endpoints()
                    }
                    None => {
                        let one =
                            |(name, all): (&String, _)| (name.clone(), xds::endpoints(name, all));
                        all.iter().map(one).collect()
                    }
                };
                self.write_endpoints(endpoints)?;
            }
            Step::Clusters { version, clusters } => {
                let clusters: Vec<_> = clusters.iter().map(|one| self.cluster(one)).collect();
                self.write(&self.layout.clusters(), Some(*version), &clusters, Access::Umask)?;
            }
            Step::Filter { version, filter } => {
                let filter = filter.to_json();
                self.write(&self.layout.filter(), Some(*version), &[filter], Access::Umask)?;
            }
            Step::Remove(names) => self.remove(names)?,
        }
        Ok(())
    }

    fn has(&self, step: &Step) -> bool {
        let path = match step {
            Step::Clusters { .. } => self.layout.clusters(),
            Step::Filter { .. } => self.layout.filter(),
            Step::Secrets(_) | Step::Endpoints(_) | Step::Remove(_) => return false,
        };
        let content = fs::read(path).unwrap_or_default();
        serde_json::from_slice::<IgnoredAny>(&content).is_ok()
    }

    fn inventory(&self) -> BTreeSet<Name> {
        let found = self.layout.inventory();
        match &self.fixed {
            // The files are of fixed clusters.
            Some(fixed) => {
                let secrets = found.into_iter().filter(|name| matches!(name, Name::Secret(_)));
                secrets.chain(fixed.inventory()).collect()
            }
            None => found,
        }
    }

    fn take_damaged(&mut self) -> Vec<String> {
        let damaged = self.written.take_damaged();
        damaged.into_iter().map(|path| path.display().to_string()).collect()
    }
}
