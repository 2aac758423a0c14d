//! What is published next, and in which order. Pure: it knows neither files nor clocks.
//!
//! ```text
//!  Snapshot, Settings ─▶ Planner::plan ─┐
//!  time passed ────────▶ Planner::pass ─┴─▶ Plan ─▶ (a sink carries out each step)
//!                        Planner::finished ◀─────────┘
//! ```
//!
//! The order: the endpoints that leave, the secrets that the clusters name, the clusters, the map
//! that names them, the endpoints that join. A cluster is removed some time after the last map that
//! named it, a secret some time after the last clusters that named it. If the plan of a map was not
//! finished, nothing is removed until the next one is, which publishes everything again. It begins
//! with the endpoints that were published before, without those that were to leave.

mod endpoints;
mod resources;
mod retirement;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use discovery_map::{DiscoveryMap, MapDocument, NO_MAP};

pub use endpoints::endpoints_around_map;
pub use resources::{fixed_clusters, is_by_set};
pub use step::{Name, Step};

use super::error::PublishError;
use crate::config::Config;
use crate::endpoints::Addresses;
use crate::index::Snapshot;
use crate::secrets::Settings;
use crate::state::State;
use crate::xds::{self, FilterConfig, Module};
use retirement::Retirement;

/// The way from what is published to what shall be.
#[derive(Debug)]
pub struct Plan {
    /// The steps. Each relies on those before it, and only on those.
    pub steps: Vec<Step>,
    pub map: Option<NewMap>,
    /// What is retired from then on.
    retired: Retirement,
}

/// A map, and what it was made with.
#[derive(Clone, Debug)]
pub struct NewMap {
    pub document: Arc<MapDocument>,
    pub skewed_targets: usize,
    /// Every cluster that the map names.
    clusters: Addresses,
    config: Arc<Config>,
}

#[derive(Debug)]
pub struct Planner {
    settings: Settings,
    state: State,
    retired: Retirement,
    /// The last step that published the secrets of the clusters.
    secrets: Option<Step>,
    /// The last step that published the clusters. `None` if they must get a new version.
    clusters: Option<Step>,
    /// The published map. `None` if one must be published in any case.
    map: Option<NewMap>,
}

impl Planner {
    /// Goes on from the state of an earlier run.
    pub fn new(settings: Settings, state: State) -> Self {
        let retired = Retirement::default();
        Self { settings, state, retired, secrets: None, clusters: None, map: None }
    }

    /// Takes another configuration or other secrets. What they change is in the next plan.
    pub fn configure(&mut self, settings: &Settings) {
        self.settings.clone_from(settings);
    }

    /// Returns what must survive a restart.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the listener's secrets, and those of clusters that Envoy has from the start. They are
    /// right whatever the peers serve.
    pub fn at_start(&self, found: &BTreeSet<Name>) -> Step {
        let mut secrets = resources::listener_secrets(&self.settings, found);
        if self.settings.config.envoy.fixed_clusters {
            secrets.extend(resources::upstream_secrets(&self.settings));
        }
        Step::Secrets(secrets)
    }

    /// Returns what Envoy gets before there is a map: no clusters but those that are fixed, and a
    /// filter that refuses every request for now. Every generation is greater than their version.
    pub fn first(&self) -> [Step; 2] {
        let module = Module::from(&*self.settings.config);
        let filter = FilterConfig { map: NO_MAP.to_owned(), module };
        let clusters = self.clusters(BTreeSet::new());
        [Step::Clusters { version: 0, clusters }, Step::Filter { version: 0, filter }]
    }

    /// Plans what differs from what is published: a new map, or the clusters alone if only their
    /// certificates changed. Returns `None` if nothing differs. What is in `found` and not used is
    /// retired.
    pub fn plan(
        &mut self,
        snapshot: &Snapshot,
        found: &BTreeSet<Name>,
    ) -> Result<Option<Plan>, PublishError> {
        self.state.memory.clone_from(&snapshot.memory);
        let certificate = self.settings.front_proxy().is_some();
        let (mut document, next) = resources::with_twins(snapshot, certificate);
        let retired = self.retire(&next, found);
        if let Some(map) = &self.map {
            document.generation = map.document.generation;
            if document == *map.document && next == map.clusters && self.is_made_for(map) {
                return Ok(self.plan_rotation(&next, retired));
            }
        }
        let generation = self.next_generation();
        document.generation = generation;
        let map = DiscoveryMap::try_from(document.clone())?;
        let json = document.to_json()?;
        self.state.generation = Some(generation);

        let now = &self.state.published.endpoints;
        let change = endpoints::change(now, &next, retired.clusters());
        let config = Arc::clone(&self.settings.config);
        let filter = FilterConfig { map: json, module: Module::from(&*config) };
        let [secrets, clusters] = self.upstream(&next, &retired, generation);
        // Remembered at once: whatever fails from here on, the map that Envoy has covers these.
        self.state.published.endpoints.clone_from(&change.before);
        let filter = Step::Filter { version: generation, filter };
        let mut steps = vec![Step::Endpoints(change.before), secrets, clusters, filter];
        if !change.joining.is_empty() {
            steps.push(Step::Endpoints(change.joining));
        }
        let (document, skewed_targets) = (Arc::new(document), map.skewed_targets());
        let map = NewMap { document, skewed_targets, clusters: next, config };
        // Until this plan is finished, either map may be the one that Envoy has.
        self.invalidate();
        self.retired.clone_from(&retired);
        Ok(Some(Plan { steps, map: Some(map), retired }))
    }

    /// Lets time pass for what is retired, and plans the removal of what has expired. No time passes
    /// while it is not known which map Envoy has.
    pub fn pass(&mut self, passed: Duration) -> Option<Plan> {
        let next = &self.map.as_ref()?.clusters;
        self.retired.pass(passed);
        let mut retired = self.retired.clone();
        let gone = retired.take_expired();
        if gone.is_empty() {
            return None;
        }
        let mut steps = Vec::new();
        if gone.iter().any(|name| matches!(name, Name::Endpoints(_))) {
            let generation = self.next_generation();
            steps.extend(self.upstream(next, &retired, generation));
            self.state.generation = Some(generation);
        }
        // Last, for the clusters that go may be the last to name something.
        steps.push(Step::Remove(gone));
        Some(Plan { steps, map: None, retired })
    }

    /// Publishes everything in the next plan, under a new generation: Envoy remembers a version
    /// that it refused.
    pub fn invalidate(&mut self) {
        self.clusters = None;
        self.map = None;
    }

    /// Takes note of a plan that was carried out to its end.
    pub fn finished(&mut self, plan: Plan) {
        let published = &mut self.state.published;
        for step in plan.steps {
            match step {
                Step::Endpoints(all) => published.endpoints.extend(all),
                Step::Secrets(_) => {
                    let front_proxy = self.settings.front_proxy();
                    published.front_proxy = front_proxy.or(published.front_proxy.take());
                    self.secrets = Some(step);
                }
                Step::Clusters { .. } => self.clusters = Some(step),
                Step::Filter { .. } | Step::Remove(_) => {}
            }
        }
        self.retired = plan.retired;
        if plan.map.is_some() {
            self.map = plan.map;
        }
    }

    fn next_generation(&self) -> u64 {
        self.state.generation.map_or(1, |last| last.saturating_add(1))
    }

    /// Returns what is retired when `next` are the clusters that the map names.
    fn retire(&self, next: &Addresses, found: &BTreeSet<Name>) -> Retirement {
        let delay = self.settings.config.envoy.cluster_removal_delay;
        let upstream = resources::upstream_secrets(&self.settings).into_iter();
        let of = self.settings.config.name();
        let listener = [xds::LISTENER, xds::CLIENT_CA].map(|name| xds::of_control_plane(of, name));
        let secrets = upstream.map(|secret| secret.name).chain(listener).map(Name::Secret);
        let used = next.keys().cloned().map(Name::Endpoints).chain(secrets).collect();
        self.retired.next(found.difference(&used).cloned(), delay)
    }

    /// Returns whether the configuration gives the clusters and the filter of this map.
    fn is_made_for(&self, map: &NewMap) -> bool {
        let config = &self.settings.config;
        (&config.envoy, &config.peer_tls) == (&map.config.envoy, &map.config.peer_tls)
    }

    /// Plans the clusters alone, if they or their secrets are not those that are published.
    fn plan_rotation(&mut self, next: &Addresses, retired: Retirement) -> Option<Plan> {
        let generation = self.next_generation();
        let [secrets, clusters] = self.upstream(next, &retired, generation);
        if self.secrets.as_ref() == Some(&secrets) && self.clusters.as_ref() == Some(&clusters) {
            self.retired = retired;
            return None;
        }
        self.state.generation = Some(generation);
        Some(Plan { steps: vec![secrets, clusters], map: None, retired })
    }

    /// Returns the clusters of these names, or those that are fixed.
    fn clusters(&self, names: BTreeSet<&String>) -> Vec<xds::Cluster> {
        let earlier = self.state.published.front_proxy.as_ref();
        let envoy = &self.settings.config.envoy;
        if envoy.fixed_clusters {
            let fixed = fixed_clusters(&envoy.cluster_prefix);
            return resources::clusters(&fixed.iter().collect(), &self.settings, earlier);
        }
        resources::clusters(&names, &self.settings, earlier)
    }

    /// Returns the secrets that clusters name, and the clusters: those that the map names and those
    /// that stay. Their version is `generation`, unless they are the same as before.
    fn upstream(&self, next: &Addresses, retired: &Retirement, generation: u64) -> [Step; 2] {
        let names = next.keys().chain(retired.clusters()).collect();
        let clusters = self.clusters(names);
        let version = match &self.clusters {
            Some(Step::Clusters { version, clusters: before }) if *before == clusters => *version,
            _ => generation,
        };
        let secrets = resources::upstream_secrets(&self.settings);
        [Step::Secrets(secrets), Step::Clusters { version, clusters }]
    }
}
