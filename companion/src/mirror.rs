//! A mirror: it keeps what companions serve over ADS on the disk of an Envoy's host, so that this
//! Envoy can start while no companion can be reached.
//!
//! ```text
//!  companion ──ADS, mutual TLS──▶ Follower ──complete sets──▶ SetFile
//!      │                             └──▶ Snapshots ──ADS, socket──▶ Envoy, while it cannot reach
//!      └──ADS, mutual TLS──────────────────────────────────────────▶   a companion
//! ```
//!
//! Invariants:
//! - Only a complete set is kept or served, and a set that cannot be read replaces none.
//! - Envoy goes back to a companion soon: a stream ends when the mirror reaches one, and after a
//!   minute in any case.
//! - There is no private key in it: companions send none.

mod check;
mod connection;
mod endpoint;
mod file;
mod follow;
mod metrics;
mod set;
mod status;

use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use tokio::sync::watch;

use crate::ads::metrics::AdsMetrics;
use crate::ads::{Envoys, Following, LocalServer, Selection, Snapshots};
use crate::config::MirrorConfig;
use crate::files;
use crate::lock::Locks;
use crate::metrics::{Registry, registry};
use crate::program::{Endpoints, ProgramError, Stop, Tasks, failed, raise_file_limit};
use endpoint::Views;
use follow::Follower;
use metrics::MirrorMetrics;
use status::Status;

/// Runs until a signal says to stop.
pub async fn run(path: &Path) -> Result<(), ProgramError> {
    let config = Arc::new(MirrorConfig::load(path).map_err(failed("configuration:\n"))?);
    let stop = Stop::new()?;
    let directory = config.state_directory.as_path();
    files::create_directory(directory).map_err(failed("stateDirectory: "))?;
    // The socket is in it, too. Until the end of this function.
    let _locks = Locks::take(&[("stateDirectory", directory)]).map_err(failed(""))?;
    raise_file_limit();
    let endpoints = Endpoints::bind(config.listen, config.metrics_listen);
    let endpoints = endpoints.await.map_err(failed(""))?;
    let socket = config.socket();
    let server = LocalServer::bind(&socket).map_err(failed("stateDirectory: socket: "))?;
    tracing::info!(listen = %config.listen, socket = %socket.display(), "mirroring companions");
    stop.wait(start(config, endpoints, server)).await
}

fn start(config: Arc<MirrorConfig>, endpoints: Endpoints, server: LocalServer) -> Tasks {
    let mut registry = registry(None);
    let (ads, metrics) = metrics(&mut registry);
    let snapshots = Snapshots::new(Envoys::default());
    let (status_sender, status) = watch::channel(Status::new());
    let (following_sender, following) = watch::channel(Following::default());
    let control_planes = config.control_planes.clone();
    let control_planes =
        control_planes.map_or(Selection::All, |names| Selection::Some(Arc::new(names)));
    let follower =
        Follower::new(config, snapshots.clone(), status_sender, following_sender, metrics);
    let views = Views { status, envoys: snapshots.envoys().clone(), registry: Arc::new(registry) };
    let mut tasks = Tasks::default();
    tasks.add("companions", follower.run());
    tasks.add_fallible("ADS", server.run(following, control_planes, snapshots, ads));
    endpoints.start(endpoint::router(views.clone()), endpoint::metrics_router(views), &mut tasks);
    tasks
}

fn metrics(registry: &mut Registry) -> (AdsMetrics, MirrorMetrics) {
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of the companion", build);
    (AdsMetrics::new(registry), MirrorMetrics::new(registry))
}
