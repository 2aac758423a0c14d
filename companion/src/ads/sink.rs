//! Collects the steps of a plan into the part of one control plane, for every Envoy that gets it.
//!
//! Steps need no order here: each stream finds its own way from what its Envoy has to the latest
//! snapshot. No private key gets into a snapshot: an Envoy reads its own from its own files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use discovery_map::{MapDocument, NO_MAP};
use serde_json::Value;

use super::kind::Kind;
use super::resource::{GENERATION, Resource};
use super::snapshot::{Part, Resources};
use super::snapshots::Snapshots;
use crate::endpoints::Addresses;
use crate::publish::{Name, PublishError, Sink, Step};
use crate::xds::{self, Cluster, ConfigSource, Encoded, FilterConfig, Secret};

#[derive(Debug)]
pub struct AdsSink {
    snapshots: Snapshots,
    /// The control plane, by the prefix of its clusters.
    prefix: String,
    /// The file with the front-proxy certificate, as an Envoy sees it.
    front_proxy: Option<PathBuf>,
    endpoints: Addresses,
    secrets: BTreeMap<String, Secret>,
    clusters: Vec<Cluster>,
    filter: Option<FilterConfig>,
    /// Whether something was applied that the streams do not know.
    changed: bool,
}

impl AdsSink {
    /// Goes on with the endpoints that an earlier run published: Envoys may have clusters of them.
    /// Until it has a map, Envoys keep what they have of this control plane.
    pub fn new(
        snapshots: Snapshots,
        prefix: String,
        front_proxy: Option<PathBuf>,
        endpoints: Addresses,
    ) -> Self {
        let (secrets, clusters) = (BTreeMap::new(), Vec::new());
        let (filter, changed) = (None, false);
        snapshots.await_part(&prefix);
        Self { snapshots, prefix, front_proxy, endpoints, secrets, clusters, filter, changed }
    }

    /// Returns the part with everything that was applied. `None` before the first map.
    fn part(&self) -> Result<Option<Part>, PublishError> {
        let Some(filter) = &self.filter else { return Ok(None) };
        let filter = filter_resource(filter)?;
        let clusters = self.clusters.iter().map(|cluster| self.cluster(cluster));
        let clusters = clusters.collect::<Result<Resources, _>>()?;
        // The listener's are those of this host, if there is an Envoy here. With many control planes,
        // the chain of each asks for its authorities.
        let needed: BTreeSet<_> = self.clusters.iter().map(|one| one.peer_ca.clone()).collect();
        let client_ca = format!("{}/{}", self.prefix, xds::CLIENT_CA);
        let secrets = self.secrets.values();
        let secrets = secrets.filter(|one| needed.contains(&one.name) || one.name == client_ca);
        let secrets = secrets.map(|secret| resource(Kind::Secrets, &secret.name, secret.to_json()));
        let secrets = secrets.collect::<Result<Resources, _>>()?;
        let mut endpoints = self.endpoints.clone();
        endpoints.retain(|name, _| clusters.contains_key(name));
        let filter = Resources::from([filter]);
        Ok(Some(Part::new([clusters, secrets, filter], endpoints)))
    }

    /// A twin presents the certificate that its Envoy has in a file. It has a fixed name there.
    fn cluster(&self, cluster: &Cluster) -> Result<(String, Arc<Resource>), PublishError> {
        let present = cluster.present.as_ref().map(|_| xds::FRONT_PROXY.to_owned());
        let cluster = Cluster { present, ..cluster.clone() };
        let source = |name: &str| match &self.front_proxy {
            Some(file) if name == xds::FRONT_PROXY => ConfigSource::Path(file.clone()),
            _ => ConfigSource::Ads,
        };
        resource(Kind::Clusters, &cluster.name, cluster.to_json(&ConfigSource::Ads, source))
    }
}

/// Returns the filter with a map without a generation of its own: the numbers of two companions have
/// nothing in common, and each push has another.
fn filter_resource(filter: &FilterConfig) -> Result<(String, Arc<Resource>), PublishError> {
    let mut map: MapDocument = serde_json::from_str(&filter.map)?;
    map.generation = GENERATION;
    let filter = FilterConfig { map: map.to_json()?, module: filter.module.clone() };
    let (name, json) = (filter.module.filter_name(), filter.to_json());
    let Encoded { body, version } = Encoded::new(json)?;
    let resource = Resource::of_filter(name.clone(), version, body.into());
    Ok((name, Arc::new(resource)))
}

fn resource(kind: Kind, name: &str, json: Value) -> Result<(String, Arc<Resource>), PublishError> {
    let Encoded { body, version } = Encoded::new(json)?;
    let resource = Resource::new(kind, name.to_owned(), version, body.into());
    Ok((name.to_owned(), Arc::new(resource)))
}

impl Sink for AdsSink {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        match step {
            Step::Secrets(secrets) => {
                for secret in secrets.iter().filter(|secret| !secret.is_private()) {
                    let last = self.secrets.insert(secret.name.clone(), secret.clone());
                    self.changed |= last.as_ref() != Some(secret);
                }
                return Ok(());
            }
            Step::Endpoints(all) => self.endpoints.extend(all.clone()),
            Step::Clusters { clusters, .. } => self.clusters.clone_from(clusters),
            Step::Filter { filter, .. } if filter.map == NO_MAP => {}
            Step::Filter { filter, .. } => self.filter = Some(filter.clone()),
            Step::Remove(names) => {
                for name in names {
                    match name {
                        Name::Endpoints(cluster) => drop(self.endpoints.remove(cluster)),
                        Name::Secret(name) => drop(self.secrets.remove(name)),
                    }
                }
            }
        }
        self.changed = true;
        Ok(())
    }

    /// Shows the streams what was applied.
    fn finish(&mut self) -> Result<(), PublishError> {
        if !self.changed {
            return Ok(());
        }
        let Some(next) = self.part()? else { return Ok(()) };
        self.changed = false;
        self.snapshots.publish(&self.prefix, next);
        Ok(())
    }

    /// An Envoy that has nothing waits for the first map.
    fn has(&self, _: &Step) -> bool {
        true
    }

    fn inventory(&self) -> BTreeSet<Name> {
        let endpoints = self.endpoints.keys().cloned().map(Name::Endpoints);
        endpoints.chain(self.secrets.keys().cloned().map(Name::Secret)).collect()
    }

    /// Nobody else can change what is in memory.
    fn take_damaged(&mut self) -> Vec<String> {
        Vec::new()
    }
}
