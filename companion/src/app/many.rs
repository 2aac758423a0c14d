//! Many control planes: keeps the tasks of each running, whatever happens to another.
//!
//! ```text
//!  directory ──Known──▶ Many ──configuration──▶ Supervisor of each ──part──▶ ads::Snapshots
//!      │                                             │ progress              │        ▲
//!      └────────────────────────────▶ listener task ◀┴───────────────────────┘        │
//!                                          └───────────────listener───────────────────┘
//! ```

#[cfg(test)]
mod fixture;
mod listener;
mod progress;
mod supervisor;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::control_plane::Common;
use super::metrics::MainMetrics;
use crate::ads::Snapshots;
use crate::channel::send_changed;
use crate::config::{ClusterPrefix, Config, ControlPlaneDirectory, MainConfig};
use crate::directory::{Follower, Known};
use crate::program::{ProgramError, Tasks, failed};
use crate::serve::Views;
use listener::ListenerTask;
use progress::Progress;
use supervisor::{Shared, Supervisor};
use template::TemplateFile;

/// How many control planes start at once. Each reads the discovery of its peers, parses it and
/// saves its state, and those that run must not wait for that.
const STARTS: usize = 16;

/// How many control planes read and merge OpenAPI documents at once.
const OPEN_API: usize = 2;

/// Starts the control planes of the directory, and enters them in `views`.
pub(super) fn start(
    directory: &ControlPlaneDirectory,
    mains: watch::Receiver<Arc<MainConfig>>,
    snapshots: &Snapshots,
    (views, metrics): (&mut Views, &MainMetrics),
    tasks: &mut Tasks,
) -> Result<(), ProgramError> {
    let shown = views.control_planes.clone();
    let follower = Follower::start(directory.clone(), shown.clone(), metrics.directory.clone());
    let follower = follower.map_err(failed("controlPlanes.directory: "))?;
    let known = follower.known();
    let first = known.borrow().clone();
    // What an Envoy has of them stays until they have a map, although this run has nothing yet.
    first.names().into_iter().for_each(|name| snapshots.await_part(name));
    let progress = Progress::default();
    let listener = ListenerTask::new(directory, (known.clone(), snapshots.clone()), &progress)?;
    views.ready = listener.ready();
    let starts = Arc::new(Semaphore::new(STARTS));
    let common = Common::new(OPEN_API);
    let shared = Shared { snapshots: snapshots.clone(), shown, starts, common, progress };
    let many = Many { known, shared, running: BTreeMap::new(), tasks: JoinSet::new() };
    tasks.add("directory of control planes", follower.run(mains.clone()));
    tasks.add_fallible("control planes", many.run());
    tasks.add("listener", listener.run(mains));
    Ok(())
}

struct Many {
    known: watch::Receiver<Arc<Known>>,
    shared: Shared,
    /// The configuration of each goes here. `None` while its tasks end.
    running: BTreeMap<ClusterPrefix, Option<watch::Sender<Arc<Config>>>>,
    tasks: JoinSet<ClusterPrefix>,
}

impl Many {
    /// Runs until nobody follows the directory.
    async fn run(mut self) -> Result<(), String> {
        loop {
            let known = self.known.borrow_and_update().clone();
            self.apply(&known.configs);
            self.forget(&known.names());
            tokio::select! {
                changed = self.known.changed() => if changed.is_err() { return Ok(()) },
                Some(ended) = self.tasks.join_next() => {
                    let name = ended.map_err(|error| error.to_string())?;
                    self.shared.progress.ended(&name);
                    self.running.remove(&name);
                }
            }
        }
    }

    /// Stops unwanted control planes, sends changed configurations, and starts missing control planes.
    fn apply(&mut self, wanted: &BTreeMap<ClusterPrefix, Arc<Config>>) {
        for (name, configs) in &mut self.running {
            match (wanted.get(name), configs.as_ref()) {
                // Its tasks end without it.
                (None, _) => *configs = None,
                (Some(next), Some(configs)) => {
                    send_changed(configs, next);
                }
                (Some(_), None) => {}
            }
        }
        for (name, config) in wanted {
            if self.running.contains_key(name) {
                continue;
            }
            let (sender, configs) = watch::channel(Arc::clone(config));
            self.running.insert(name.clone(), Some(sender));
            self.shared.progress.begun(name);
            let supervisor = Supervisor::new(name.clone(), configs, self.shared.clone());
            let span = tracing::info_span!("control plane", control_plane = %name);
            self.tasks.spawn(supervisor.run().instrument(span));
        }
    }

    /// Stops showing control planes that have neither a file nor tasks.
    fn forget(&self, names: &BTreeSet<&str>) {
        self.shared.shown.retain(|name| names.contains(name) || self.running.contains_key(name));
    }
}

/// Checks the template of the listener and every file in the directory. Returns how many control
/// planes there are.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn check(directory: &ControlPlaneDirectory) -> Result<usize, Vec<String>> {
    let mut faults = Vec::from_iter(TemplateFile::open(&directory.listener_template).err());
    let count = crate::directory::check(directory).map_err(|more| faults.extend(more)).ok();
    count.filter(|_| faults.is_empty()).ok_or(faults)
}
