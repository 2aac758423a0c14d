//! Carries resources in files, which Envoy watches.
//!
//! Invariants:
//! - A file is written as a whole, and only if its content changes.
//! - A file with a key in it is readable by its owner alone, at any time.
//! - Nothing is read back: which files there are says which resources there are.

mod layout;
mod written;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::PublishError;
use super::plan::{Inventory, Step};
use super::sink::Sink;
use crate::files::{self, Access};
use crate::xds::{self, Cluster, Endpoints, Secret};
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
    /// Makes the directories, and removes the temporary files with keys that a killed companion left.
    ///
    /// # Errors
    /// A directory cannot be made, or such a file cannot be removed.
    pub fn open(directory: &Path) -> Result<Self, PublishError> {
        let layout = Layout::new(directory);
        files::create_directory(&layout.endpoints)?;
        files::create_directory(&layout.secrets)?;
        for temporary in layout.temporary_secrets() {
            files::remove(&temporary)?;
        }
        Ok(Self { layout, written: Written::default(), pending: None })
    }

    /// Waits until Envoy has the clusters, or the filter, that were just written. Other files need no
    /// wait: Envoy opens them when it gets the clusters that name them.
    fn wait_for_envoy(&mut self) {
        if let Some(written) = self.pending.take() {
            std::thread::sleep(TAKE_UP.saturating_sub(written.elapsed()));
        }
    }

    fn write_secret(&mut self, secret: &Secret) -> Result<(), PublishError> {
        let access = if secret.is_private() { Access::Owner } else { Access::Umask };
        let content = response(1, &[secret.to_json()])?;
        self.written.write(&self.layout.secret(&secret.name), &content, access)?;
        Ok(())
    }

    /// Writes a cluster's endpoints. Like a secret, they always have the same version: Envoy compares
    /// the content, which mostly stays the same from push to push.
    fn write_endpoints(&mut self, endpoints: &Endpoints) -> Result<(), PublishError> {
        let content = response(1, &[endpoints.to_json()])?;
        self.written.write(&self.layout.endpoints(&endpoints.cluster), &content, Access::Umask)?;
        Ok(())
    }

    fn write_clusters(&mut self, version: u64, clusters: &[Cluster]) -> Result<(), PublishError> {
        let resources: Vec<_> =
            clusters.iter().map(|cluster| cluster.to_json(&self.layout)).collect();
        self.write_before_others(&self.layout.clusters(), version, &resources)
    }

    /// Writes what Envoy must have before the next step.
    fn write_before_others(
        &mut self,
        path: &Path,
        version: u64,
        resources: &[Value],
    ) -> Result<(), PublishError> {
        if self.written.write(path, &response(version, resources)?, Access::Umask)? {
            self.pending = Some(Instant::now());
        }
        Ok(())
    }

    fn remove(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> Result<(), PublishError> {
        Ok(paths.into_iter().try_for_each(|path| self.written.remove(&path))?)
    }
}

impl Sink for FileSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        self.wait_for_envoy();
        let layout = self.layout.clone();
        match step {
            Step::Secrets(all) => all.iter().try_for_each(|secret| self.write_secret(secret)),
            Step::Endpoints(all) => all.iter().try_for_each(|one| self.write_endpoints(one)),
            Step::Clusters { version, clusters } => self.write_clusters(*version, clusters),
            Step::Filter { version, filter } => {
                self.write_before_others(&layout.filter(), *version, &[filter.to_json()])
            }
            Step::RemoveEndpoints(all) => self.remove(all.iter().map(|one| layout.endpoints(one))),
            Step::RemoveSecrets(all) => self.remove(all.iter().map(|one| layout.secret(one))),
        }
    }

    fn inventory(&self) -> Inventory {
        self.layout.inventory()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        let damaged = self.written.take_damaged();
        damaged.into_iter().map(|path| path.display().to_string()).collect()
    }
}

fn response(version: u64, resources: &[Value]) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&xds::response(version, resources))
}
