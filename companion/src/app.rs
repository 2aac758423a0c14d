//! The running companion: what it has once, and its control planes.
//!
//! ```text
//!  reload ──main file──▶ control planes, each with its tasks ──▶ ads ──▶ streams
//!             │               └──views──▶ serve                      ▲
//!             └──────▶ secrets ────────certificates, names───────────┘
//! ```
//!
//! Each arrow is a channel. Every task is observed. If a task of one of many control
//! planes ends, that control plane is started again; if another one ends, the companion
//! ends, and its supervisor starts it again.

mod check;
mod control_plane;
#[cfg(test)]
mod faults;
mod indexer;
mod many;
mod metrics;
mod single;
mod sinks;

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use check::{Checked, check};
use metrics::MainMetrics;

use crate::ads::{Envoys, Server, Snapshots};
use crate::config::{ControlPlanes, MainConfig};
use crate::files;
use crate::lock::Locks;
use crate::program::{Endpoints, ProgramError, Stop, Tasks, failed, raise_file_limit};
use crate::reload::Follower;
use crate::secrets::{AdsSettings, AdsWatcher};
use crate::serve::{self, Views};

/// Runs until a signal says to stop.
pub async fn run(config_path: &Path) -> Result<(), ProgramError> {
    // Read before it is loaded, so that a change in between is noticed.
    let seen = files::read(config_path).ok();
    let main = Arc::new(MainConfig::load(config_path).map_err(failed("configuration:\n"))?);
    // Registered before any task starts, so that none is missed.
    let hangups = signal(SignalKind::hangup()).map_err(failed("signals: "))?;
    let stop = Stop::new()?;
    // Before anything is read or written there. Until the end of this function.
    let _locks = lock(&main)?;
    raise_file_limit();
    let endpoints = Endpoints::bind(main.listen, main.metrics_listen).await.map_err(failed(""))?;
    let ads = Ads::bind(&main).await?;

    let snapshots = Snapshots::new(Envoys::default());
    let metrics = MainMetrics::new();
    let (configs, mains) = watch::channel(Arc::clone(&main));
    let reload = metrics.reload.clone();
    let path = config_path.to_owned();
    let follower = Follower { path, seen, configs, hangups, metrics: reload };
    let mut views = Views {
        control_planes: serve::ControlPlanes::default(),
        only: None,
        ready: watch::channel(false).1,
        envoys: snapshots.envoys().clone(),
        streams: serve::Streams::default(),
        registry: Arc::clone(&metrics.registry),
    };
    let mut tasks = Tasks::default();
    match &main.control_planes {
        ControlPlanes::One(config) => {
            let snapshots = ads.is_some().then(|| snapshots.clone());
            single::start(config, mains.clone(), snapshots, &mut views, &mut tasks)?;
        }
        ControlPlanes::Many(directory) => {
            let seen = (&mut views, &metrics);
            many::start(directory, mains.clone(), &snapshots, seen, &mut tasks)?;
        }
    }
    tracing::info!(listen = %main.listen, control_planes = %main.control_planes, "starting");
    if let Some(warning) = main.warning() {
        tracing::warn!("{warning}");
    }
    if let Some(ads) = ads {
        ads.start(mains, snapshots, metrics, &mut tasks);
    }
    tasks.add("configuration", follower.run());
    endpoints.start(serve::router(views.clone()), serve::metrics_router(views), &mut tasks);
    stop.wait(tasks).await
}

/// Makes and locks the directories that the companion writes to.
fn lock(main: &MainConfig) -> Result<Locks, ProgramError> {
    let mut directories = vec![("stateDirectory", main.state_directory.as_path())];
    if let Some(directory) = main.only().and_then(|config| config.envoy.directory.as_ref()) {
        directories.push(("envoy.directory", directory));
    }
    for (field, directory) in &directories {
        let failed = |error| ProgramError(format!("{field}: {error}"));
        files::create_directory(directory).map_err(failed)?;
    }
    Locks::take(&directories).map_err(failed(""))
}

/// What the ADS server runs with.
struct Ads {
    server: Server,
    settings: AdsSettings,
}

impl Ads {
    /// Binds the ADS server, if it is configured. It does not answer yet.
    async fn bind(main: &MainConfig) -> Result<Option<Self>, ProgramError> {
        let Some(server) = &main.ads else { return Ok(None) };
        let settings = AdsSettings::read(server).map_err(failed("configuration:\n"))?;
        let server = Server::bind(&settings).await.map_err(failed(""))?;
        Ok(Some(Self { server, settings }))
    }

    fn start(
        self,
        mains: watch::Receiver<Arc<MainConfig>>,
        snapshots: Snapshots,
        metrics: MainMetrics,
        tasks: &mut Tasks,
    ) {
        let Self { server, settings } = self;
        let (sender, settings) = watch::channel(Arc::new(settings));
        let secrets = AdsWatcher::new(mains, sender, metrics.secrets);
        tasks.add_fallible("ADS", server.run(settings, snapshots, metrics.ads));
        tasks.add("ADS certificates", secrets.run());
    }
}
