//! Keeps the tasks of one of many control planes running. If they end, they are started again, and
//! no other control plane notices.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::progress::Progress;
use crate::ads::Snapshots;
use crate::app::control_plane::{Common, ControlPlane, Reports};
use crate::app::metrics::ControlPlaneMetrics;
use crate::app::sinks::Sinks;
use crate::config::{ClusterPrefix, Config};
use crate::program::Tasks;
use crate::serve::{ControlPlaneState, ControlPlaneView, ControlPlanes};

/// The first pause before tasks are started again. It doubles each time, up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a start holds up others.
const START: Duration = Duration::from_secs(2);

/// What is added to two time-outs of polling, after which a control plane without a map holds up
/// the listener no longer. Within it, the index gives up waiting for peers that do not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all supervisors share.
#[derive(Clone)]
pub(super) struct Shared {
    pub snapshots: Snapshots,
    pub shown: ControlPlanes,
    /// How many start at once.
    pub starts: Arc<Semaphore>,
    pub common: Common,
    pub progress: Progress,
}

pub(super) struct Supervisor {
    name: ClusterPrefix,
    configs: watch::Receiver<Arc<Config>>,
    shared: Shared,
}

/// Why tasks do not run any more.
enum Ended {
    /// The control plane is not wanted any more.
    Removed,
    /// A setting changed that requires a restart of the tasks.
    Outdated,
    /// It is a fault.
    Failed(String),
}

impl Supervisor {
    pub(super) fn new(
        name: ClusterPrefix,
        configs: watch::Receiver<Arc<Config>>,
        shared: Shared,
    ) -> Self {
        Self { name, configs, shared }
    }

    /// Runs until the sender of configurations is dropped. Returns the name.
    pub(super) async fn run(mut self) -> ClusterPrefix {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let error = match self.once().await {
                Ended::Removed => return self.name,
                Ended::Outdated => continue,
                Ended::Failed(error) => error,
            };
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let again = humantime::format_duration(pause);
            tracing::error!(error, %again, "the control plane stopped: Envoys keep what they have");
            self.shared.shown.is(self.name.as_str(), ControlPlaneState::Stopped, Some(error));
            self.shared.progress.settled(&self.name);
            if self.pause(pause).await.is_break() {
                return self.name;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Waits, but not for a control plane that is not wanted any more.
    async fn pause(&mut self, pause: Duration) -> ControlFlow<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => ControlFlow::Continue(()),
            // A new configuration may be the remedy.
            changed = self.configs.changed() => {
                if changed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
        }
    }

    /// Starts the tasks, and waits until they have ended. A panic in here ends the control plane as
    /// one in its tasks does.
    async fn once(&mut self) -> Ended {
        let mut tasks = Tasks::default();
        let ended = AssertUnwindSafe(self.start(&mut tasks)).catch_unwind().await;
        // Nothing may be published after this.
        tasks.shutdown().await;
        ended.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Ended::Failed(match text {
                Some(text) => format!("it panicked: {text}"),
                None => "it panicked without a message".to_owned(),
            })
        })
    }

    /// Starts the tasks, and waits until one has ended, or all shall end.
    async fn start(&mut self, tasks: &mut Tasks) -> Ended {
        let Ok(permit) = Arc::clone(&self.shared.starts).acquire_owned().await else {
            return Ended::Removed;
        };
        let config = self.configs.borrow_and_update().clone();
        let read = tokio::task::block_in_place(|| ControlPlane::read(Arc::clone(&config)));
        let control_plane = match read {
            Ok(control_plane) => control_plane,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let name = self.name.as_str();
        let ads = control_plane.ads_sink(self.shared.snapshots.clone());
        let reports = Reports {
            metrics: ControlPlaneMetrics::new(Some(name)),
            history: self.shared.shown.history(name),
            refusals: self.shared.snapshots.envoys().refusals(),
        };
        let common = self.shared.common.clone();
        let sinks = Sinks::new(None, Some(ads));
        self.shared.shown.is(name, ControlPlaneState::Starting, None);
        let view = control_plane.start(self.configs.clone(), sinks, common, reports, tasks);
        self.watch(tasks, &config, view, permit).await
    }

    async fn watch(
        &mut self,
        tasks: &mut Tasks,
        config: &Config,
        view: ControlPlaneView,
        permit: OwnedSemaphorePermit,
    ) -> Ended {
        let patience = config.polling.timeout * 2 + PATIENCE;
        let started = Instant::now();
        let mut permit = Some(permit);
        let (mut published, mut waits) = (false, true);
        self.show(config, &view);
        loop {
            tokio::select! {
                changed = self.configs.changed() => {
                    if changed.is_err() {
                        return Ended::Removed;
                    }
                    let next = self.configs.borrow_and_update().clone();
                    if next.front_proxy_secret != config.front_proxy_secret {
                        return Ended::Outdated;
                    }
                    self.show(&next, &view);
                }
                ended = tasks.ended() => {
                    let removed = self.configs.has_changed().is_err();
                    return if removed { Ended::Removed } else { Ended::Failed(ended) };
                }
                () = view.published(), if !published => {
                    published = true;
                    self.shared.shown.is(self.name.as_str(), ControlPlaneState::Serving, None);
                    self.shared.progress.settled(&self.name);
                    permit = None;
                }
                () = tokio::time::sleep_until(started + START), if permit.is_some() => {
                    permit = None;
                }
                () = tokio::time::sleep_until(started + patience), if waits && !published => {
                    waits = false;
                    self.shared.progress.settled(&self.name);
                }
            }
        }
    }

    fn show(&self, config: &Config, view: &ControlPlaneView) {
        let names = config.server_names.iter().flatten().map(ToString::to_string).collect();
        self.shared.shown.runs(self.name.as_str(), names, view.clone());
    }
}
