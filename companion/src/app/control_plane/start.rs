//! Starts one task each, and returns the ends of its channels that others need.

use std::sync::Arc;

use api_discovery::MergedOpenApi;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::app::sinks::Sinks;
use crate::config::Config;
use crate::control_plane::{Followed, Reader, Shared};
use crate::facts::{OpenApiMerge, Report, Roster};
use crate::index::Snapshot;
use crate::open_api::OpenApiReader;
use crate::open_api::metrics::OpenApiMetrics;
use crate::poll::Watchers;
use crate::poll::metrics::PollMetrics;
use crate::program::Tasks;
use crate::publish::metrics::PublishMetrics;
use crate::publish::{self, Outcome, Publisher};
use crate::secrets::metrics::SecretMetrics;
use crate::secrets::{self, Settings};
use crate::sources::metrics::SourceMetrics;
use crate::sources::{self, SourceStatus};

type Configs = watch::Receiver<Arc<Config>>;
type Rosters = watch::Receiver<Arc<Roster>>;

/// Starts the source of the peers. `roster` has the peers that are already known.
pub(super) fn sources(
    configs: &Configs,
    roster: Arc<Roster>,
    metrics: SourceMetrics,
    tasks: &mut Tasks,
) -> (Rosters, watch::Receiver<Option<SourceStatus>>) {
    let (roster_sender, rosters) = watch::channel(roster);
    let (status_sender, status) = watch::channel(None);
    let outputs = sources::Outputs { rosters: roster_sender, statuses: status_sender };
    let task = sources::Task { configs: configs.clone(), outputs, metrics };
    tasks.add_fallible("sources", task.run());
    (rosters, status)
}

/// Starts the polling of all peers.
pub(super) fn polling(
    configs: &Configs,
    rosters: &Rosters,
    metrics: PollMetrics,
    tasks: &mut Tasks,
) -> mpsc::Receiver<Report> {
    let (sender, reports) = mpsc::channel(64);
    let watchers = Watchers::new(sender, metrics).run(configs.clone(), rosters.clone());
    tasks.add_fallible("peers", watchers);
    reports
}

/// Starts the reading of a resource that all peers share.
pub(super) fn reader<S: Shared>(
    name: &'static str,
    followed: &Followed,
    tasks: &mut Tasks,
) -> mpsc::Receiver<Option<S::Value>> {
    let (sender, values) = mpsc::channel(1);
    tasks.add(name, Reader::<S>::new(followed.clone(), sender).run());
    values
}

/// Starts the reading and merging of OpenAPI documents, while `permits` has one for it.
pub(super) fn open_api(
    (configs, merges): (Configs, watch::Receiver<Arc<[OpenApiMerge]>>),
    permits: Arc<Semaphore>,
    metrics: OpenApiMetrics,
    tasks: &mut Tasks,
) -> mpsc::Receiver<MergedOpenApi> {
    let (sender, merged) = mpsc::channel(1);
    let reader = OpenApiReader::new(configs, merges, sender, permits, metrics);
    tasks.add("OpenAPI", reader.run());
    merged
}

/// Starts the watching of certificates and keys, whose first ones `settings` has.
pub(super) fn secrets(
    configs: &Configs,
    settings: Settings,
    metrics: SecretMetrics,
    tasks: &mut Tasks,
) -> watch::Receiver<Arc<Settings>> {
    let (sender, receiver) = watch::channel(Arc::new(settings));
    tasks.add("secrets", secrets::Watcher::new(configs.clone(), sender, metrics).run());
    receiver
}

/// Starts the publishing of snapshots.
pub(super) fn publishing(
    publisher: Publisher<Sinks>,
    (snapshots, settings): (watch::Receiver<Option<Arc<Snapshot>>>, watch::Receiver<Arc<Settings>>),
    metrics: PublishMetrics,
    tasks: &mut Tasks,
) -> watch::Receiver<Outcome> {
    let (sender, outcomes) = watch::channel(Outcome::default());
    tasks.add("publish", publish::run(publisher, snapshots, settings, sender, metrics));
    outcomes
}
