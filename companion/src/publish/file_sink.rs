//! Carries resources in files, which Envoy watches.
//!
//! Invariants:
//! - A file is written as a whole, and only if its content changes.
//! - A file with a key in it is readable by its owner alone, at any time.
//! - Nothing is read back: which files there are says which resources there are.

mod layout;
mod written;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// The version of endpoints and secrets: Envoy compares their content, which mostly stays the same
/// from push to push.
const UNVERSIONED: u64 = 1;

/// Files in one directory.
#[derive(Debug)]
pub struct FileSink {
    layout: Layout,
    written: Written,
    /// When the clusters or the filter were written, if Envoy may not have them yet.
    pending: Option<Instant>,
}

impl FileSink {
    /// Makes the directories, and removes what a killed companion left of secrets: it may hold a key.
    ///
    /// # Errors
    /// A directory cannot be made, or a file cannot be removed.
    pub fn open(directory: &Path) -> Result<Self, PublishError> {
        let layout = Layout::new(directory);
        files::create_directory(&layout.endpoints)?;
        files::create_directory(&layout.secrets)?;
        layout.unfinished_secrets().try_for_each(|file| files::remove(&file))?;
        Ok(Self { layout, written: Written::default(), pending: None })
    }

    /// Writes a response with these resources. Returns whether the file changed.
    fn write(
        &mut self,
        path: &Path,
        version: u64,
        resources: &[Value],
        access: Access,
    ) -> Result<bool, PublishError> {
        let content = serde_json::to_vec(&xds::response(version, resources))?;
        Ok(self.written.write(path, &content, access)?)
    }

    /// Writes what Envoy must have before the next step. Other files need no wait: Envoy opens them
    /// when it gets the clusters that name them.
    fn write_and_wait(
        &mut self,
        path: &Path,
        version: u64,
        resources: &[Value],
    ) -> Result<(), PublishError> {
        if self.write(path, version, resources, Access::Umask)? {
            self.pending = Some(Instant::now());
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        if let Some(written) = self.pending.take() {
            std::thread::sleep(TAKE_UP.saturating_sub(written.elapsed()));
        }
        let layout = self.layout.clone();
        match step {
            Step::Secrets(all) => all.iter().try_for_each(|secret| {
                let access = if secret.is_private() { Access::Owner } else { Access::Umask };
                let path = layout.secret(&secret.name);
                self.write(&path, UNVERSIONED, &[secret.to_json()], access).map(drop)
            }),
            Step::Endpoints(all) => all.iter().try_for_each(|one| {
                let path = layout.endpoints(&one.cluster);
                self.write(&path, UNVERSIONED, &[one.to_json()], Access::Umask).map(drop)
            }),
            Step::Clusters { version, clusters } => {
                let to_json = |cluster: &Cluster| {
                    let endpoints = ConfigSource::Path(layout.endpoints(&cluster.name));
                    cluster.to_json(&endpoints, |name| ConfigSource::Path(layout.secret(name)))
                };
                let clusters: Vec<_> = clusters.iter().map(to_json).collect();
                self.write_and_wait(&layout.clusters, *version, &clusters)
            }
            Step::Filter { version, filter } => {
                self.write_and_wait(&layout.filter, *version, &[filter.to_json()])
            }
            Step::Remove(names) => Ok(names.iter().try_for_each(|name| match name {
                Name::Endpoints(cluster) => self.written.remove(&layout.endpoints(cluster)),
                Name::Secret(name) => self.written.remove(&layout.secret(name)),
            })?),
        }
    }

    fn inventory(&self) -> BTreeSet<Name> {
        self.layout.inventory()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        let damaged = self.written.take_damaged();
        damaged.into_iter().map(|path| path.display().to_string()).collect()
    }
}
