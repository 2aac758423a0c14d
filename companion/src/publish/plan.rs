//! What is published next, and in which order. Pure: it knows neither files nor clocks.
//!
//! ```text
//!  Snapshot, Settings ─▶ Planner::plan ─┐
//!  time passed ────────▶ Planner::pass ─┴─▶ Plan: steps ─▶ (a sink carries each out)
//!                        Planner::applied ◀─────────────────┘
//! ```
//!
//! A step that was carried out is reported back, so the next plan goes on from wherever this one
//! stopped. The order: the endpoints that leave, the secrets that the clusters name, the clusters,
//! the map that names them, the endpoints that join. A cluster goes some time after the last map that
//! named it, a secret some time after the last clusters that named it.

mod endpoints;
mod retirement;
mod step;
mod twins;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use discovery_map::DiscoveryMap;

pub use step::{Inventory, NewMap, Plan, Step};

use super::error::PublishError;
use crate::index::Snapshot;
use crate::secrets::Settings;
use crate::state::Published;
use crate::xds::{self, Cluster, Filter, Secret};
use retirement::Retirement;

/// Plans what is published.
#[derive(Debug)]
pub struct Planner {
    settings: Settings,
    generation: u64,
    published: Published,
    clusters: Retirement,
    /// The secrets that clusters name.
    secrets: Retirement,
    /// The published clusters and their version. `None` if they must be published again.
    current: Option<(u64, Vec<Cluster>)>,
    /// The published map. `None` if one must be published in any case.
    map: Option<NewMap>,
}

impl Planner {
    /// Goes on from what an earlier run published. Its clusters and secrets stay for the whole delay,
    /// for Envoy's map may name them.
    pub fn new(
        settings: Settings,
        generation: u64,
        published: Published,
        found: Inventory,
    ) -> Self {
        let delay = settings.config.envoy.cluster_removal_delay;
        let clusters = published.endpoints.keys().cloned().chain(found.clusters);
        let fixed = [xds::LISTENER, xds::CLIENT_CA];
        let secrets = found.secrets.into_iter().filter(|name| !fixed.contains(&name.as_str()));
        Self {
            clusters: Retirement::of_left_over(clusters, delay),
            secrets: Retirement::of_left_over(secrets, delay),
            settings,
            generation,
            published,
            current: None,
            map: None,
        }
    }

    /// Takes another configuration or other secrets. The next plan has what they change in the
    /// clusters and in the filter.
    pub fn configure(&mut self, settings: &Settings) {
        self.settings.clone_from(settings);
    }

    /// Returns the generation that was used last, or is about to be.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns what must be remembered over a restart.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Returns the listener's secrets. They wait for nothing: they are right whatever the peers serve.
    ///
    /// If client certificates are not accepted any more, that is said, for an Envoy keeps what it was
    /// told last: `told` is whether it was told authorities. The listener's own certificate stays, even
    /// if it is not configured any more: a listener must have one.
    pub fn listener(&self, told: bool) -> Step {
        let secrets = &self.settings.secrets;
        let mut step = Vec::new();
        if secrets.listener.is_some() || told {
            step.push(Secret::authorities(xds::CLIENT_CA, secrets.client_ca.as_ref()));
        }
        step.extend(secrets.listener.as_ref().map(|pair| Secret::key_pair(xds::LISTENER, pair)));
        Step::Secrets(step)
    }

    /// Plans what differs from what is published: a new map, or the clusters alone if only their
    /// secrets changed. Returns `None` if nothing differs.
    ///
    /// # Errors
    /// The map is invalid.
    pub fn plan(&mut self, snapshot: &Snapshot) -> Result<Option<Plan>, PublishError> {
        let certificate = self.settings.secrets.front_proxy.is_some();
        let (mut document, next) = twins::with_twins(snapshot, certificate);
        if let Some(map) = &self.map {
            document.generation = map.document.generation;
            if document == *map.document && next == map.clusters && self.is_made_for(map) {
                return Ok(self.plan_rotation());
            }
        }
        document.generation = self.generation.saturating_add(1);
        let map = DiscoveryMap::try_from(document.clone())?;
        let json = document.to_json()?;
        self.generation = document.generation;

        let mut clusters = self.clusters.clone();
        clusters.use_only(&next.keys().cloned().collect(), self.delay());
        let change = endpoints::change(&self.published.endpoints, &next, clusters.staying());
        let config = &self.settings.config;
        let filter = Filter { map: json, module: config.envoy.filter_module.clone() };
        let mut steps = vec![Step::Endpoints(change.before)];
        steps.extend(self.upstream(&clusters));
        steps.push(Step::Filter { version: self.generation, filter });
        if !change.joining.is_empty() {
            steps.push(Step::Endpoints(change.joining));
        }
        let map = NewMap {
            document: Arc::new(document),
            skewed_targets: map.skewed_targets(),
            clusters: next,
            config: Arc::clone(config),
        };
        Ok(Some(Plan { steps, map: Some(map) }))
    }

    /// Lets time pass for what is retired, and plans the removal of what has expired. Nothing is
    /// removed before there is a map.
    pub fn pass(&mut self, passed: Duration) -> Option<Plan> {
        self.clusters.pass(passed);
        self.secrets.pass(passed);
        self.map.as_ref()?;
        let mut steps = Vec::new();
        let clusters = self.clusters.expired();
        if !clusters.is_empty() {
            steps.extend(self.upstream_alone());
            steps.push(Step::RemoveEndpoints(clusters));
        }
        // Last, for the clusters that go may be the last to name them.
        let secrets = self.secrets.expired();
        if !secrets.is_empty() {
            steps.push(Step::RemoveSecrets(secrets));
        }
        (!steps.is_empty()).then_some(Plan { steps, map: None })
    }

    /// Publishes everything in the next plan, under a new generation: Envoy remembers a version that
    /// it refused.
    pub fn invalidate(&mut self) {
        self.current = None;
        self.map = None;
    }

    /// Takes note of a step that was carried out.
    pub fn applied(&mut self, step: &Step) {
        match step {
            Step::Secrets(secrets) => {
                let delay = self.delay();
                self.secrets.use_only(&names(secrets), delay);
                if let Some(pair) = secrets.iter().find(|secret| secret.is_private()) {
                    self.published.front_proxy = Some(pair.name.clone());
                }
            }
            Step::Endpoints(all) => {
                for endpoints in all {
                    let xds::Endpoints { cluster, addresses } = endpoints.clone();
                    self.clusters.add(&cluster);
                    self.published.endpoints.insert(cluster, addresses);
                }
            }
            Step::Clusters { version, clusters } => {
                self.current = Some((*version, clusters.clone()));
            }
            Step::Filter { .. } => {}
            Step::RemoveEndpoints(names) => {
                for name in names {
                    self.clusters.remove(name);
                    self.published.endpoints.remove(name);
                }
            }
            Step::RemoveSecrets(names) => names.iter().for_each(|name| self.secrets.remove(name)),
        }
    }

    /// Takes note of a plan that was carried out to its end. From now on, the clusters that the new map
    /// does not name are retired.
    pub fn finished(&mut self, map: NewMap) {
        let delay = self.delay();
        self.clusters.use_only(&map.clusters.keys().cloned().collect(), delay);
        self.map = Some(map);
    }

    fn delay(&self) -> Duration {
        self.settings.config.envoy.cluster_removal_delay
    }

    /// Returns whether the configuration gives the clusters and the filter of this map.
    fn is_made_for(&self, map: &NewMap) -> bool {
        let config = &self.settings.config;
        (&config.envoy, &config.peer_tls) == (&map.config.envoy, &map.config.peer_tls)
    }

    /// Plans the clusters alone if they, or their secrets, are not those that are published.
    fn plan_rotation(&mut self) -> Option<Plan> {
        let same = matches!(&self.current, Some((_, current)) if *current == self.made(&self.clusters))
            && self.secrets.uses_only(&names(&self.upstream_secrets()));
        (!same).then(|| Plan { steps: self.upstream_alone().into(), map: None })
    }

    /// Returns the clusters, with a generation of their own; the map stays.
    fn upstream_alone(&mut self) -> [Step; 2] {
        self.generation = self.generation.saturating_add(1);
        self.upstream(&self.clusters)
    }

    /// Returns the clusters, after the secrets that they name.
    fn upstream(&self, clusters: &Retirement) -> [Step; 2] {
        let clusters = self.made(clusters);
        let version = match &self.current {
            Some((version, current)) if *current == clusters => *version,
            _ => self.generation,
        };
        [Step::Secrets(self.upstream_secrets()), Step::Clusters { version, clusters }]
    }

    fn upstream_secrets(&self) -> Vec<Secret> {
        let secrets = &self.settings.secrets;
        let peer_ca = xds::peer_ca_name(&secrets.peer_ca);
        let mut upstream = vec![Secret::authorities(peer_ca, Some(&secrets.peer_ca))];
        let pair = |pair| Secret::key_pair(xds::front_proxy_name(pair), pair);
        upstream.extend(secrets.front_proxy.as_ref().map(pair));
        upstream
    }

    /// Returns the clusters that stay, except a twin of an earlier run whose certificate is not known.
    fn made(&self, clusters: &Retirement) -> Vec<Cluster> {
        let secrets = &self.settings.secrets;
        let configured = secrets.front_proxy.as_ref().map(xds::front_proxy_name);
        let front_proxy = configured.or_else(|| self.published.front_proxy.clone());
        let made = clusters.staying().filter_map(|name| {
            let present = if twins::is_twin(name) { Some(front_proxy.clone()?) } else { None };
            Some(Cluster {
                name: name.clone(),
                server_name: self.settings.config.peer_tls.server_name.clone(),
                peer_ca: xds::peer_ca_name(&secrets.peer_ca),
                present,
            })
        });
        made.collect()
    }
}

fn names(secrets: &[Secret]) -> BTreeSet<String> {
    secrets.iter().map(|secret| secret.name.clone()).collect()
}
