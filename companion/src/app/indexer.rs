//! Drives the index: the only place where channels and a clock reach it.

pub(super) mod metrics;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::{Conflict, MergedOpenApi, MinorVersion, Origins};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use self::metrics::IndexMetrics;
use crate::config::{Config, RequestHeaders};
use crate::facts::{OpenApiMerge, PeerStatus, Report, Roster};
use crate::index::{Event, Index, Snapshot};

/// How often the index is told the time.
const TICK: Duration = Duration::from_secs(1);

/// How often a snapshot is sent just to save the state, which says how long each
/// peer has been away.
const SAVE: Duration = Duration::from_secs(60);

/// Who gets what the index sends.
pub(super) struct Outputs {
    pub snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    pub peers: watch::Sender<Vec<PeerStatus>>,
    pub open_api: watch::Sender<Arc<[OpenApiMerge]>>,
    /// The answering version; `None` if all versions answer.
    pub answering: watch::Sender<Option<MinorVersion>>,
}

/// The other ends of [`Outputs`].
pub(super) struct Indexed {
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    pub peers: watch::Receiver<Vec<PeerStatus>>,
    pub open_api: watch::Receiver<Arc<[OpenApiMerge]>>,
    /// The answering version; `None` if all versions answer.
    pub answering: watch::Receiver<Option<MinorVersion>>,
}

/// Returns the channels by which the index tells what it found.
pub(super) fn outputs() -> (Outputs, Indexed) {
    let (snapshot_sender, snapshots) = watch::channel(None);
    let (peer_sender, peers) = watch::channel(Vec::new());
    let (merge_sender, open_api) = watch::channel(Arc::default());
    let (answering_sender, answering) = watch::channel(None);
    let outputs = Outputs {
        snapshots: snapshot_sender,
        peers: peer_sender,
        open_api: merge_sender,
        answering: answering_sender,
    };
    (outputs, Indexed { snapshots, peers, open_api, answering })
}

/// Who tells the index something.
pub(super) struct Inputs {
    pub reports: mpsc::Receiver<Report>,
    pub names: mpsc::Receiver<Option<RequestHeaders>>,
    pub origins: mpsc::Receiver<Option<Origins>>,
    pub open_api: mpsc::Receiver<MergedOpenApi>,
    pub configs: watch::Receiver<Arc<Config>>,
    pub rosters: watch::Receiver<Arc<Roster>>,
}

impl Inputs {
    /// Waits for the next event. Returns it, and whether a snapshot is to be sent in any case.
    async fn next(&mut self) -> Result<(Event, bool), String> {
        let event = tokio::select! {
            // The first report of a peer has what the later ones call unchanged: the index must
            // know the peer before.
            biased;
            changed = self.configs.changed() => {
                changed.map_err(|_| "no task follows the configuration")?;
                return Ok((Event::Configured(self.configs.borrow_and_update().clone()), true));
            }
            changed = self.rosters.changed() => {
                changed.map_err(|_| "no task follows the source of the peers")?;
                Event::Peers(self.rosters.borrow_and_update().clone())
            }
            report = self.reports.recv() => {
                Event::Reported(report.ok_or("the peers are no longer polled")?)
            }
            names = self.names.recv() => {
                Event::RequestHeaders(names.ok_or("no task reads the ConfigMap")?)
            }
            origins = self.origins.recv() => {
                let origins = origins.ok_or("no task reads the APIServices")?;
                origins.map_or(Event::Tick, Event::Origins)
            }
            merged = self.open_api.recv() => {
                Event::OpenApi(merged.ok_or("no task reads OpenAPI documents")?)
            }
        };
        Ok((event, false))
    }
}

pub(super) struct Indexer {
    index: Index,
    outputs: Outputs,
    metrics: IndexMetrics,
    /// What the log already has.
    conflicts: BTreeSet<Conflict>,
    oversized: Vec<String>,
}

impl Indexer {
    pub(super) fn new(index: Index, outputs: Outputs, metrics: IndexMetrics) -> Self {
        let (conflicts, oversized) = (BTreeSet::new(), Vec::new());
        Self { index, outputs, metrics, conflicts, oversized }
    }

    /// Runs until one of its inputs ends, which is an error.
    pub(super) async fn run(mut self, mut inputs: Inputs) -> Result<(), String> {
        let config = inputs.configs.borrow_and_update().clone();
        // Known from before a restart.
        self.metrics.answering(None, self.index.answering_version());
        self.outputs.answering.send_replace(self.index.answering_version());
        let started = Instant::now();
        // A peer that does not answer at all must not hold up the others.
        let patience = config.polling.timeout * 2 + Duration::from_millis(500);
        let mut patient_until = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut save = tokio::time::interval(SAVE);
        loop {
            let (event, force) = tokio::select! {
                event = inputs.next() => event?,
                _ = tick.tick() => (Event::Tick, false),
                _ = save.tick() => (Event::Tick, true),
            };
            let answered = self.index.answering_version();
            let changed = self.index.apply(event, started.elapsed());
            let answering = self.index.answering_version();
            self.metrics.mode(self.index.mode());
            if answering != answered {
                self.metrics.answering(answered, answering);
                self.outputs.answering.send_replace(answering);
            }
            self.show_peers();
            let published = self.outputs.snapshots.borrow().is_some();
            let first = !published && self.index.has_peers() && {
                let until = *patient_until.get_or_insert_with(|| Instant::now() + patience);
                self.index.all_asked() || Instant::now() >= until
            };
            if first || (published && (changed || force)) {
                self.send_snapshot();
            }
        }
    }

    fn show_peers(&self) {
        let statuses = self.index.statuses();
        let names = |peers: &[PeerStatus]| -> Vec<_> {
            peers.iter().map(|peer| peer.name.clone()).collect()
        };
        if names(&self.outputs.peers.borrow()) != names(&statuses) {
            self.metrics.reset_peers();
        }
        self.metrics.peers(&statuses);
        self.outputs.peers.send_replace(statuses);
    }

    fn send_snapshot(&mut self) {
        let snapshot = self.index.snapshot();
        let was_frozen =
            self.outputs.snapshots.borrow().as_ref().is_some_and(|before| before.frozen);
        match (was_frozen, snapshot.frozen) {
            (false, true) => tracing::warn!("no peer is ready: the last rotation stays"),
            (true, false) => {
                tracing::info!("a peer is ready again: the rotation follows the peers")
            }
            _ => {}
        }
        self.report_documents(&snapshot);
        let from_config_map = snapshot.memory.request_headers.is_some();
        self.metrics.snapshot(snapshot.frozen, snapshot.conflicts.len(), from_config_map);
        let merges = &snapshot.open_api_merges;
        let is_new = |known: &Arc<[OpenApiMerge]>| **known != **merges;
        if is_new(&self.outputs.open_api.borrow()) {
            self.outputs.open_api.send_replace(merges.as_slice().into());
        }
        self.outputs.snapshots.send_replace(Some(Arc::new(snapshot)));
    }

    /// Logs each fault of the documents once, and again when it comes back.
    fn report_documents(&mut self, snapshot: &Snapshot) {
        for Conflict { resource, field, values } in snapshot.conflicts.difference(&self.conflicts) {
            tracing::warn!(resource, field, ?values, "peers report different values");
        }
        if snapshot.oversized != self.oversized {
            let paths = &snapshot.oversized;
            tracing::error!(?paths, "merged documents are too large and not published");
        }
        self.conflicts.clone_from(&snapshot.conflicts);
        self.oversized.clone_from(&snapshot.oversized);
    }
}
