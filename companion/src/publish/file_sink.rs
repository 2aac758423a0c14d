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
        layout.directories().iter().try_for_each(|directory| files::create_directory(directory))?;
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

    fn cluster(&self, cluster: &Cluster) -> Value {
        let endpoints = ConfigSource::Path(self.layout.endpoints(&cluster.name));
        cluster.to_json(&endpoints, |name| ConfigSource::Path(self.layout.secret(name)))
    }
}

impl Sink for FileSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        if let Some(written) = self.pending.take() {
            std::thread::sleep(TAKE_UP.saturating_sub(written.elapsed()));
        }
        // Endpoints and secrets need no wait: Envoy opens them when it gets the clusters.
        let must_wait = match step {
            Step::Secrets(secrets) => {
                for secret in secrets {
                    let access = if secret.is_private() { Access::Owner } else { Access::Umask };
                    let path = self.layout.secret(&secret.name);
                    self.write(&path, UNVERSIONED, &[secret.to_json()], access)?;
                }
                false
            }
            Step::Endpoints(all) => {
                for one in all {
                    let path = self.layout.endpoints(&one.cluster);
                    self.write(&path, UNVERSIONED, &[one.to_json()], Access::Umask)?;
                }
                false
            }
            Step::Clusters { version, clusters } => {
                let clusters: Vec<_> = clusters.iter().map(|one| self.cluster(one)).collect();
                self.write(&self.layout.clusters(), *version, &clusters, Access::Umask)?
            }
            Step::Filter { version, filter } => {
                self.write(&self.layout.filter(), *version, &[filter.to_json()], Access::Umask)?
            }
            Step::Remove(names) => {
                for name in names {
                    self.written.remove(&self.layout.named(name))?;
                }
                false
            }
        };
        self.pending = must_wait.then(Instant::now);
        Ok(())
    }

    fn inventory(&self) -> BTreeSet<Name> {
        self.layout.inventory()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        let damaged = self.written.take_damaged();
        damaged.into_iter().map(|path| path.display().to_string()).collect()
    }
}
