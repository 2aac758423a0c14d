//! Follows the configuration's file: on SIGHUP, and when its content changes.
//!
//! The content is compared once a second rather than watched by the system: in
//! a mounted ConfigMap the file is a symbolic link through a directory that is
//! replaced, which watches miss.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::config::Config;
use crate::metrics::{Metrics, ReloadOutcome};

const CHECK: Duration = Duration::from_secs(1);

/// Follows one file.
pub struct Follower {
    /// The configuration's file.
    pub path: PathBuf,
    /// Its content when it was loaded at the start.
    pub seen: Option<Vec<u8>>,
    /// Where sound configurations go.
    pub configs: watch::Sender<Arc<Config>>,
    /// SIGHUP.
    pub hangups: Signal,
    /// Where reloads are counted.
    pub metrics: Metrics,
}

impl Follower {
    /// Sends each sound configuration that the file comes to hold; goes on
    /// until nobody listens.
    pub async fn run(mut self) {
        let mut refused = None;
        loop {
            let asked = tokio::select! {
                hangup = self.hangups.recv() => hangup.is_some(),
                () = tokio::time::sleep(CHECK) => false,
                () = self.configs.closed() => return,
            };
            let content = std::fs::read(&self.path).ok();
            // A file that is gone for a moment is being replaced.
            let changed = content.is_some() && content != self.seen;
            // What was refused may be sound now: the files that it names may
            // have come only after it.
            if !asked && !changed && refused.is_none() {
                continue;
            }
            let news = asked || changed;
            self.seen = content;
            refused = self.reload().err().inspect(|faults| {
                if news || refused.as_ref() != Some(faults) {
                    tracing::error!(
                        faults,
                        "new configuration refused: the old one stays in force"
                    );
                    self.metrics.reloaded(ReloadOutcome::Refused);
                }
            });
        }
    }

    fn reload(&self) -> Result<(), String> {
        let current = self.configs.borrow().clone();
        let next = Config::load(&self.path).map_err(|error| error.to_string())?;
        if let Some(faults) = current.fixed_fields_changed(&next) {
            return Err(faults.to_string());
        }
        tracing::info!(peers = next.peers.len(), "configuration reloaded");
        self.metrics.reloaded(ReloadOutcome::Applied);
        self.configs.send_if_modified(|config| {
            let changed = **config != next;
            *config = Arc::new(next);
            changed
        });
        Ok(())
    }
}
