//! Follows the directory, and tells what is known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::files::{Files, Known, News};
use super::metrics::DirectoryMetrics;
use super::read::Read;
use super::{file, read, saved};
use crate::config::{ControlPlaneDirectory, MainConfig};
use crate::serve;

const CHECK: Duration = Duration::from_secs(1);

pub struct Follower {
    directory: ControlPlaneDirectory,
    files: Files,
    /// Why the directory cannot be read; logged once.
    problem: Option<String>,
    known: watch::Sender<Arc<Known>>,
    shown: serve::ControlPlanes,
    metrics: DirectoryMetrics,
}

impl Follower {
    /// Returns a follower that has read the directory once.
    ///
    /// # Errors
    /// Why it cannot be read: then nobody knows what Envoys shall keep.
    pub fn start(
        directory: ControlPlaneDirectory,
        shown: serve::ControlPlanes,
        metrics: DirectoryMetrics,
    ) -> Result<Self, String> {
        let (files, problem, known) = (Files::default(), None, watch::Sender::default());
        let mut follower = Self { directory, files, problem, known, shown, metrics };
        follower.look(true, true);
        match follower.problem.take() {
            None => Ok(follower),
            Some(problem) => Err(problem),
        }
    }

    /// Returns what is known, now and later.
    pub fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Reads the directory once a second. Runs until nobody wants to know.
    pub async fn run(mut self, mut mains: watch::Receiver<Arc<MainConfig>>) {
        loop {
            let again = tokio::select! {
                changed = mains.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = tokio::time::sleep(CHECK) => false,
                () = self.known.closed() => return,
            };
            if let Some(directory) = mains.borrow_and_update().many() {
                self.directory.clone_from(directory);
            }
            tokio::task::block_in_place(|| self.look(again, false));
        }
    }

    /// Reads the directory. `first`: there is no last good configuration in memory.
    fn look(&mut self, again: bool, first: bool) {
        let read = read::read(&self.directory.path);
        if let (true, Ok(read)) = (first, &read) {
            self.restore(read);
        }
        let taken = read.and_then(|read| self.files.take(read, &self.directory, again));
        self.metrics.read(taken.is_ok());
        let changed = first || taken.as_ref().is_ok_and(|news| !news.is_empty());
        match taken {
            Ok(news) => {
                self.problem = None;
                news.into_iter().for_each(|news| self.note(news, first));
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::error!(
                        error = problem,
                        "cannot use the directory of control planes: they stay unchanged"
                    );
                }
                self.problem = Some(problem);
            }
        }
        if changed {
            let known = self.files.known();
            self.show(&known);
            self.known.send_replace(Arc::new(known));
        }
        let (states, refused) = self.shown.count();
        self.metrics.count(&states, refused);
    }

    /// Begins with what an earlier run used of these files.
    fn restore(&mut self, read: &Read) {
        for name in read.keys() {
            if let Some(text) = saved::load(&self.directory.states, name) {
                self.files.restore(name, &text, &self.directory);
            }
        }
    }

    fn note(&mut self, news: News, first: bool) {
        let states = &self.directory.states;
        let kept = match news {
            News::Added { name, text } => {
                tracing::info!(control_plane = name, "control plane added");
                saved::save(states, &name, &text)
            }
            News::Changed { name, text } => {
                tracing::info!(control_plane = name, "configuration of the control plane changed");
                saved::save(states, &name, &text)
            }
            News::Removed { name } => {
                tracing::info!(control_plane = name, "control plane removed");
                saved::forget(states, &name)
            }
            News::Refused { name, faults } => {
                let file = file(&self.directory.path, &name);
                let faults = faults.join("\n");
                tracing::error!(
                    control_plane = name,
                    file,
                    faults,
                    "file refused: the last good configuration stays"
                );
                if first && self.files.is_used(&name) {
                    tracing::warn!(
                        control_plane = name,
                        "using the last good configuration of an earlier run"
                    );
                }
                Ok(())
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "cannot keep the configuration for a restart");
        }
    }

    fn show(&self, known: &Known) {
        for name in known.names() {
            let faults = known.faults.get(name).cloned().unwrap_or_default();
            self.shown.refused(name, faults, known.configs.contains_key(name));
        }
    }
}
