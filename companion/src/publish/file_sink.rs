//! Carries resources in files, which Envoy watches.
//!
//! Invariants:
//! - A file is written as a whole, and only if its content changes.
//! - A file with a key in it is readable by its owner alone, at any time.
//! - No content is taken from a file: which files there are, and that they are JSON, says which
//!   resources there are.

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
use crate::files::{self, Access};
use crate::xds::{self, Cluster, ConfigSource};
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
    /// When the clusters or the filter were written, if Envoy may not have them yet.
    pending: Option<Instant>,
}

impl FileSink {
    /// Makes the directories, and removes what a killed companion left of secrets: it may hold a
    /// key.
    pub fn open(directory: &Path) -> Result<Self, PublishError> {
        let layout = Layout::new(directory);
        layout.directories().iter().try_for_each(|directory| files::create_directory(directory))?;
        layout.unfinished_secrets().try_for_each(|file| files::remove(&file))?;
        Ok(Self { layout, written: Written::default(), pending: None })
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
        if self.written.write(path, &content, access)? {
            self.pending = version.map(|_| Instant::now());
        }
        Ok(())
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
                for (cluster, addresses) in all {
                    let path = self.layout.named(&Name::Endpoints(cluster.clone()));
                    let endpoints = xds::endpoints(cluster, addresses);
                    self.write(&path, None, &[endpoints], Access::Umask)?;
                }
            }
            Step::Clusters { version, clusters } => {
                let clusters: Vec<_> = clusters.iter().map(|one| self.cluster(one)).collect();
                self.write(&self.layout.clusters(), Some(*version), &clusters, Access::Umask)?;
            }
            Step::Filter { version, filter } => {
                let filter = filter.to_json();
                self.write(&self.layout.filter(), Some(*version), &[filter], Access::Umask)?;
            }
            Step::Remove(names) => {
                names.iter().try_for_each(|name| self.written.remove(&self.layout.named(name)))?;
            }
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
        self.layout.inventory()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        let damaged = self.written.take_damaged();
        damaged.into_iter().map(|path| path.display().to_string()).collect()
    }
}
