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

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ads::metrics::AdsMetrics;
use crate::ads::{Envoys, Following, LocalServer, Snapshots};
use crate::config::MirrorConfig;
use crate::files;
use crate::lock::Locks;
use crate::metrics::{Registry, registry};
use endpoint::Views;
use follow::Follower;
use metrics::MirrorMetrics;
use status::Status;

/// Why the mirror could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MirrorError(String);

/// Runs until a signal says to stop.
pub async fn run(path: &Path) -> Result<(), MirrorError> {
    let config = Arc::new(MirrorConfig::load(path).map_err(failed("configuration:\n"))?);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("signals: "))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("signals: "))?;
    let directory = config.state_directory.as_path();
    files::create_directory(directory).map_err(failed("stateDirectory: "))?;
    // The socket is in it, too. Until the end of this function.
    let _locks = Locks::take(&[("stateDirectory", directory)]).map_err(failed(""))?;
    let listener = TcpListener::bind(config.listen).await.map_err(failed("listen: "))?;
    let socket = config.socket();
    let server = LocalServer::bind(&socket).map_err(failed("stateDirectory: socket: "))?;
    tracing::info!(listen = %config.listen, socket = %socket.display(), "mirroring companions");
    let mut tasks = start(config, listener, server);
    let stopped = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        Some(ended) = tasks.join_next() => Err(MirrorError(match ended {
            Ok(problem) => problem,
            Err(error) => error.to_string(),
        })),
    };
    tasks.shutdown().await;
    stopped
}

/// Starts the tasks. If one ends, it returns why.
fn start(config: Arc<MirrorConfig>, listener: TcpListener, server: LocalServer) -> JoinSet<String> {
    let mut registry = registry(None);
    let (ads, metrics) = metrics(&mut registry);
    let snapshots = Snapshots::new(Envoys::default());
    let (status_sender, status) = watch::channel(Status::new());
    let (following_sender, following) = watch::channel(Following::default());
    let follower =
        Follower::new(config, snapshots.clone(), status_sender, following_sender, metrics);
    let views = Views { status, envoys: snapshots.envoys().clone(), registry: Arc::new(registry) };
    let mut tasks = JoinSet::new();
    tasks.spawn(async {
        follower.run().await;
        "the mirror stopped following companions".to_owned()
    });
    tasks.spawn(async {
        let served = server.run(following, snapshots, ads).await;
        format!("the server of ADS ended: {served:?}")
    });
    tasks.spawn(async {
        let served = axum::serve(listener, endpoint::router(views)).await;
        format!("the endpoint ended: {served:?}")
    });
    tasks
}

fn metrics(registry: &mut Registry) -> (AdsMetrics, MirrorMetrics) {
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of the companion", build);
    (AdsMetrics::new(registry), MirrorMetrics::new(registry))
}

fn failed<E: Display>(what: &'static str) -> impl Fn(E) -> MirrorError {
    move |error| MirrorError(format!("{what}{error}"))
}
