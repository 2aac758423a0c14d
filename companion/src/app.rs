//! The running companion: its tasks, and the channels between them.
//!
//! ```text
//!  reload ──config──▶ sources ──roster──▶ poll, index ──────┐
//!             ├─────▶ poll ──────────────reports──▶ index ──snapshot──▶ publish ──▶ files
//!             ├─────▶ control_plane ──origins, names─▶ │                   ▲ │
//!             ├─────▶ open_api ◀─merges, merged──────▶ │                   │ │
//!             │                                        └─peers─▶ serve ◀───│─┘ outcomes
//!             └─────▶ secrets ──────────settings──────────┬────────────────┘ └▶ ads ──▶ streams
//!                                                         └─ certificates, names ─▶ ads
//! ```
//!
//! Each arrow is a channel. Every task is observed: if one ends, the companion
//! ends, and its supervisor starts it again.

mod indexer;
mod metrics;
mod sinks;

use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use indexer::{Indexer, Inputs, Outputs};
use metrics::Metrics;
use sinks::Sinks;

use crate::ads::{AdsSink, Envoys, Server, Snapshot};
use crate::config::Config;
use crate::control_plane::{ApiServices, Reader, RequestHeadersConfigMap};
use crate::facts::Roster;
use crate::files;
use crate::index::Index;
use crate::lock::Locks;
use crate::open_api::OpenApiReader;
use crate::poll::Watchers;
use crate::publish::{self, FileSink, Outcome, Publisher};
use crate::reload::Follower;
use crate::secrets::{self, Settings};
use crate::serve::{self, Views};
use crate::sources;
use crate::state::{State, Store};

/// Why the companion could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AppError(String);

/// Runs until a signal says to stop.
pub async fn run(config_path: &Path) -> Result<(), AppError> {
    // Read before it is loaded, so that a change in between is noticed.
    let seen = std::fs::read(config_path).ok();
    let config = Arc::new(Config::load(config_path).map_err(failed("configuration:\n"))?);
    let settings = Settings::read(Arc::clone(&config)).map_err(failed("configuration:\n"))?;
    // Registered before any task starts, so that none is missed.
    let on = |kind| signal(kind).map_err(failed("signals: "));
    let (hangups, terminate) = (on(SignalKind::hangup())?, on(SignalKind::terminate())?);
    let interrupt = on(SignalKind::interrupt())?;
    let store = Store::open(&config.state_directory).map_err(failed("stateDirectory: "))?;
    let mut directories = vec![("stateDirectory", config.state_directory.as_path())];
    if let Some(directory) = &config.envoy.directory {
        files::create_directory(directory).map_err(failed("envoy.directory: "))?;
        directories.push(("envoy.directory", directory));
    }
    // Before anything is read or written there. Until the end of this function.
    let _locks = Locks::take(&directories).map_err(failed(""))?;
    let listener = TcpListener::bind(config.listen).await.map_err(failed("listen: "))?;
    let state = store.load().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read the saved state: starting without it");
        State::default()
    });
    let files = config.envoy.directory.as_deref().map(FileSink::open).transpose();
    let files = files.map_err(failed("envoy.directory: "))?;
    let (server, ads) = ads(&config, &settings, &state).await?;
    let publisher = Publisher::new(&settings, store, &state, Sinks { files, ads });
    tracing::info!(listen = %config.listen, peers = %config.peers, "starting");
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }

    let metrics = Metrics::new();
    let follower = Follower {
        path: config_path.to_owned(),
        seen,
        configs: watch::Sender::new(Arc::clone(&config)),
        hangups,
        metrics: metrics.reload.clone(),
    };
    let roster = sources::first_roster(&config.peers, state.memory.roster());
    let index = Index::new(config, &roster, state.memory);
    let mut tasks = Tasks::default();
    let servers = (listener, server);
    tasks.start(follower, settings, (index, roster), publisher, servers, metrics);
    let stopped = tasks.until(stop(terminate, interrupt)).await;
    tasks.set.shutdown().await;
    stopped
}

/// What the ADS server runs with.
struct Ads {
    server: Server,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    envoys: Envoys,
}

/// Returns the ADS server and what publishes to it, if it is configured.
async fn ads(
    config: &Config,
    settings: &Settings,
    state: &State,
) -> Result<(Option<Ads>, Option<AdsSink>), AppError> {
    let Some(ads) = &config.ads else { return Ok((None, None)) };
    let server = Server::bind(ads, settings).await.map_err(failed(""))?;
    let (sender, snapshots) = watch::channel(None);
    let envoys = Envoys::default();
    let endpoints = state.published.endpoints.clone();
    let sink = AdsSink::new(sender, envoys.clone(), ads.front_proxy_secret.clone(), endpoints);
    Ok((Some(Ads { server, snapshots, envoys }), Some(sink)))
}

/// The tasks, each with its name.
#[derive(Default)]
struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
}

impl Tasks {
    fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.add_fallible(name, async {
            task.await;
            Ok(())
        });
    }

    fn add_fallible(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Connects the parts by channels and starts them.
    fn start(
        &mut self,
        follower: Follower,
        settings: Settings,
        (index, roster): (Index, Arc<Roster>),
        publisher: Publisher<Sinks>,
        (listener, server): (TcpListener, Option<Ads>),
        metrics: Metrics,
    ) {
        let configs = follower.configs.subscribe();
        let (report_sender, reports) = mpsc::channel(64);
        let (name_sender, names) = mpsc::channel(1);
        let (origin_sender, origins) = mpsc::channel(1);
        let (settings_sender, settings) = watch::channel(Arc::new(settings));
        let (snapshot_sender, snapshots) = watch::channel(None);
        let (peer_sender, peers) = watch::channel(Vec::new());
        let (merge_sender, merges) = watch::channel(Arc::default());
        let (merged_sender, merged) = mpsc::channel(1);
        let (outcome_sender, outcomes) = watch::channel(Outcome::default());
        let (roster_sender, rosters) = watch::channel(roster);
        let (source_sender, source) = watch::channel(None);

        let Metrics {
            poll,
            open_api,
            index: indexed,
            publish,
            secrets,
            ads,
            registry,
            sources,
            ..
        } = metrics;
        let outputs = sources::Outputs { rosters: roster_sender, statuses: source_sender };
        let source_task = sources::Task { configs: configs.clone(), outputs, metrics: sources };
        let watchers = Watchers::new(report_sender, poll).run(configs.clone(), rosters.clone());
        let shared = || (configs.clone(), peers.clone(), rosters.clone());
        let names_reader = Reader::<RequestHeadersConfigMap>::new(shared(), name_sender);
        let origins_reader = Reader::<ApiServices>::new(shared(), origin_sender);
        let open_api = OpenApiReader::new(configs.clone(), merges, merged_sender, open_api);
        let secrets = secrets::Watcher::new(configs.clone(), settings_sender, secrets);
        let outputs =
            Outputs { snapshots: snapshot_sender, peers: peer_sender, open_api: merge_sender };
        let indexer = Indexer::new(index, outputs, indexed);
        let inputs = Inputs { reports, names, origins, open_api: merged, configs, rosters };
        let envoys = server.as_ref().map(|ads| ads.envoys.clone()).unwrap_or_default();
        if let Some(Ads { server, snapshots, .. }) = server {
            self.add_fallible("ADS", server.run(settings.clone(), snapshots, envoys.clone(), ads));
        }
        let publish = publish::run(publisher, snapshots, settings, outcome_sender, publish);
        let router = serve::router(Views { outcomes, peers, source, envoys, registry });

        self.add("configuration", follower.run());
        self.add_fallible("sources", source_task.run());
        self.add_fallible("peers", watchers);
        self.add_fallible("index", indexer.run(inputs));
        self.add("origins", origins_reader.run());
        self.add("identity headers", names_reader.run());
        self.add("OpenAPI", open_api.run());
        self.add("secrets", secrets.run());
        self.add("publish", publish);
        self.add_fallible("endpoint", async {
            axum::serve(listener, router).await.map_err(|error| error.to_string())
        });
    }

    /// Waits for the stop signal. A task that ends earlier is an error.
    async fn until(&mut self, stop: impl Future<Output = &'static str>) -> Result<(), AppError> {
        tokio::select! {
            signal = stop => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            Some(ended) = self.set.join_next() => {
                let (task, problem) = match ended {
                    Ok((task, Ok(()))) => (task, "unexpectedly".to_owned()),
                    Ok((task, Err(problem))) => (task, problem),
                    Err(error) => ("unknown", error.to_string()),
                };
                Err(AppError(format!("the task \"{task}\" ended: {problem}")))
            }
        }
    }
}

async fn stop(mut terminate: Signal, mut interrupt: Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

fn failed<E: Display>(what: &'static str) -> impl Fn(E) -> AppError {
    move |error| AppError(format!("{what}{error}"))
}
