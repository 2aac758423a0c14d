//! One control plane: its tasks, and the channels between them.
//!
//! ```text
//!  config ──▶ sources ──roster──▶ poll, index ──────┐
//!     ├─────▶ poll ──────────────reports──▶ index ──snapshot──▶ publish ──▶ sinks
//!     ├─────▶ control_plane ──origins, names─▶ │                   ▲ │
//!     ├─────▶ open_api ◀─merges, merged──────▶ │                   │ │
//!     │                                        └─peers─▶ views ◀───│─┘ outcomes
//!     └─────▶ secrets ──────────settings───────────────────────────┘
//! ```
//!
//! Each arrow is a channel. What the views have is followed by `history` too, and that by
//! `kubernetes_events`. Nothing of it leads to another control plane.

mod start;

use std::sync::Arc;

use api_discovery::Pool;
use tokio::sync::{Semaphore, broadcast, watch};

use super::indexer::{self, Indexer, Inputs};
use super::metrics::ControlPlaneMetrics;
use super::sinks::Sinks;
use crate::ads::Refused;
use crate::ads::{AdsSink, Snapshots};
use crate::config::Config;
use crate::control_plane::{ApiServices, RequestHeadersConfigMap};
use crate::history::{History, Recorder};
use crate::index::Index;
use crate::kubernetes_events;
use crate::program::{ProgramError, Tasks, failed};
use crate::publish::{FileSink, PublishError, Publisher};
use crate::secrets::Settings;
use crate::serve::ControlPlaneView;
use crate::sources;
use crate::state::{State, Store};

/// What control planes share. It passes nothing from one to another.
#[derive(Clone)]
pub(super) struct Common {
    /// How many read OpenAPI documents at once: each takes megabytes.
    open_api: Arc<Semaphore>,
    /// Equal answers of their peers are kept once.
    pool: Pool,
}

impl Common {
    /// Returns what they share at the start. `open_api` control planes read OpenAPI documents at once.
    pub(super) fn new(open_api: usize) -> Self {
        Self { open_api: Arc::new(Semaphore::new(open_api)), pool: Pool::default() }
    }
}

/// Where a control plane reports what happens.
pub(super) struct Reports {
    pub metrics: ControlPlaneMetrics,
    /// The last changes, those before a restart of its tasks included.
    pub history: History,
    /// What Envoys refuse, of all control planes.
    pub refusals: broadcast::Receiver<Refused>,
}

/// What a control plane is started with: read from disk, without a task.
pub(super) struct ControlPlane {
    settings: Settings,
    store: Store,
    state: State,
}

impl ControlPlane {
    /// Reads the files that the configuration names, and what an earlier run saved.
    ///
    /// # Errors
    /// A file is not usable, or the directory cannot be made.
    pub(super) fn read(config: Arc<Config>) -> Result<Self, ProgramError> {
        #[cfg(test)]
        super::faults::reach(&config, super::faults::Place::Read);
        let settings = Settings::read(config).map_err(failed("configuration:\n"))?;
        let directory = &settings.config.state_directory;
        let store = Store::open(directory).map_err(failed("stateDirectory: "))?;
        let state = store.load().unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read the saved state: starting without it");
            State::default()
        });
        Ok(Self { settings, store, state })
    }

    /// Returns what publishes it in files, if they are wanted.
    ///
    /// # Errors
    /// The directory cannot be made, or the first files cannot be written.
    pub(super) fn files(&self) -> Result<Option<FileSink>, PublishError> {
        let envoy = &self.settings.config.envoy;
        let Some(directory) = &envoy.directory else { return Ok(None) };
        let mut files = FileSink::open(directory)?;
        if envoy.fixed_clusters {
            let published = self.state.published.endpoints.clone();
            files = files.with_fixed_clusters(envoy.cluster_prefix.clone(), published)?;
        }
        Ok(Some(files))
    }

    /// Returns what publishes its part to Envoys over ADS.
    pub(super) fn ads_sink(&self, snapshots: Snapshots) -> AdsSink {
        let config = &self.settings.config;
        let name = config.envoy.cluster_prefix.to_string();
        let endpoints = self.state.published.endpoints.clone();
        AdsSink::new(snapshots, name, config.front_proxy_secret.clone(), endpoints)
    }

    /// Connects the parts by channels and adds their tasks. Returns what they show. `configs` has the
    /// configuration that was read; `common` is what it has in common with others.
    pub(super) fn start(
        self,
        configs: watch::Receiver<Arc<Config>>,
        sinks: Sinks,
        common: Common,
        reports: Reports,
        tasks: &mut Tasks,
    ) -> ControlPlaneView {
        let Self { settings, store, state } = self;
        let Reports { metrics, history, refusals } = reports;
        let config = Arc::clone(&settings.config);
        let name = config.envoy.cluster_prefix.to_string();
        #[cfg(test)]
        let faulty = Arc::clone(&config);
        let publisher = Publisher::new(&settings, store, &state, sinks);
        let roster = sources::first_roster(&config.peers, state.memory.roster());
        let index = Index::new(config, &roster, state.memory).share(common.pool);

        let (outputs, indexed) = indexer::outputs();
        let (rosters, source) = start::sources(&configs, roster, metrics.sources, tasks);
        let followed = (configs.clone(), indexed.peers.clone(), rosters.clone());
        let inputs = Inputs {
            reports: start::polling(&configs, &rosters, metrics.poll, tasks),
            names: start::reader::<RequestHeadersConfigMap>("identity headers", &followed, tasks),
            origins: start::reader::<ApiServices>("origins", &followed, tasks),
            open_api: start::open_api(
                (configs.clone(), indexed.open_api),
                common.open_api,
                metrics.open_api,
                tasks,
            ),
            configs: configs.clone(),
            rosters,
        };
        tasks.add_fallible("index", Indexer::new(index, outputs, metrics.index).run(inputs));
        let settings = start::secrets(&configs, settings, metrics.secrets, tasks);
        let inputs = (indexed.snapshots, settings);
        let outcomes = start::publishing(publisher, inputs, metrics.publish, tasks);
        let (peers, answering) = (indexed.peers, indexed.answering);
        let view = ControlPlaneView {
            outcomes: outcomes.clone(),
            peers: peers.clone(),
            source,
            answering: answering.clone(),
            history: history.follow(),
            registry: metrics.registry,
        };
        let events =
            kubernetes_events::Task::new(followed, history.follow(), metrics.kubernetes_events);
        let recorder = Recorder { name, peers, answering, outcomes, refusals, history };
        tasks.add("history", recorder.run());
        tasks.add("Kubernetes Events", events.run());
        #[cfg(test)]
        super::faults::start(faulty, tasks);
        view
    }
}
