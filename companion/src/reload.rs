//! Reloads the configuration on SIGHUP, and when the content of its file changes.
//!
//! The content is compared once a second instead of being watched by the system:
//! in a mounted ConfigMap the file is a symbolic link through a directory that
//! gets replaced, which file watches miss.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::channel::send_changed;
use crate::config::MainConfig;
use crate::metrics::{Label, Registry, add_counters};

const CHECK: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct ReloadMetrics(Family<Label, Counter>);

impl ReloadMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let outcomes = ("outcome", ["applied", "refused"].as_slice());
        Self(add_counters(
            r,
            "config_reloads",
            "Changes of the configuration, by outcome",
            outcomes,
        ))
    }

    /// Records the end of a reload. Without `applied`, the old configuration stays in force.
    pub fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.0.get_or_create(&[("outcome", outcome)]).inc();
    }
}

pub struct Follower {
    pub path: PathBuf,
    /// Its content at the start.
    pub seen: Option<Vec<u8>>,
    /// Where valid configurations go.
    pub configs: watch::Sender<Arc<MainConfig>>,
    pub hangups: Signal,
    pub metrics: ReloadMetrics,
}

impl Follower {
    /// Sends each valid configuration that the file gets. Runs until no receiver is left.
    pub async fn run(mut self) {
        let mut refused = None;
        loop {
            let asked = tokio::select! {
                hangup = self.hangups.recv() => hangup.is_some(),
                () = tokio::time::sleep(CHECK) => false,
                () = self.configs.closed() => return,
            };
            let content = crate::files::read(&self.path).ok();
            // A file that is missing for a moment is being replaced.
            let changed = content.is_some() && content != self.seen;
            // A configuration that was refused may be valid now: the files that it
            // names may have arrived after it.
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
                    self.metrics.reloaded(false);
                }
            });
        }
    }

    fn reload(&self) -> Result<(), String> {
        let current = self.configs.borrow().clone();
        let next = MainConfig::load(&self.path).map_err(|error| error.to_string())?;
        if let Some(faults) = current.fixed_fields_changed(&next) {
            return Err(faults.to_string());
        }
        tracing::info!(control_planes = %next.control_planes, "configuration reloaded");
        if let Some(warning) = next.warning() {
            tracing::warn!("{warning}");
        }
        self.metrics.reloaded(true);
        send_changed(&self.configs, &Arc::new(next));
        Ok(())
    }
}
