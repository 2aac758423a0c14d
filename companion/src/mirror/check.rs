//! Decides whether a set is complete: it contains everything that its resources name, and nothing
//! that every Envoy refuses.
//!
//! A resource is read once, when it comes. What it names is kept until it changes or goes.
//!
//! The routes of a connection manager may name clusters that are never there, such as those with a
//! front-proxy certificate: what must be there of a control plane's clusters, its map says.

mod listener;

use std::collections::BTreeMap;

use discovery_map::ROTATION_SUFFIX;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use serde_json::{Map, Value};

use super::set::Set;
use crate::ads::{Kind, is_endpoints_version, owner};
use crate::xds::{self, FILTER_NAME};

/// What keeps a set from being complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    #[error("the companion has sent no map yet")]
    NoMap,
    #[error("cannot use {name:?} ({kind}): {problem}", kind = kind.as_str())]
    Unusable { kind: Kind, name: String, problem: String },
    #[error("{from:?} names {name:?} ({kind}), which is missing", kind = kind.as_str())]
    Missing { from: String, kind: Kind, name: String },
    #[error("the control plane of {cluster:?} has no map")]
    MissingMap { cluster: String },
}

/// What is known of each resource of a set.
#[derive(Debug, Default)]
pub struct Checker(BTreeMap<Kind, BTreeMap<String, Facts>>);

/// What a resource says of others, or why it cannot be used.
type Facts = Result<Content, String>;

#[derive(Debug, Default)]
struct Content {
    /// What must be there as well.
    names: Vec<(Kind, String)>,
    has_map: bool,
}

impl Checker {
    /// Reads a set.
    pub fn of(set: &Set) -> Self {
        let mut checker = Self::default();
        for kind in Kind::ALL {
            checker.take(kind, set.of(kind).map(|(_, resource)| resource), &[]);
        }
        checker
    }

    /// Reads what a companion sends.
    pub fn take<'r>(
        &mut self,
        kind: Kind,
        upserts: impl IntoIterator<Item = &'r Resource>,
        removed: &[String],
    ) {
        let all = self.0.entry(kind).or_default();
        for name in removed {
            all.remove(name);
        }
        all.extend(upserts.into_iter().map(|one| (one.name.clone(), content(kind, one))));
    }

    /// Returns what is missing, if anything is.
    pub fn check(&self) -> Result<(), Incomplete> {
        let mut has_map = false;
        for (kind, name, facts) in self.all() {
            let content = facts.as_ref().map_err(|problem| {
                let (name, problem) = (name.clone(), problem.clone());
                Incomplete::Unusable { kind, name, problem }
            })?;
            has_map |= content.has_map;
            for (kind, needed) in &content.names {
                if self.get(*kind, needed).is_none() {
                    let (from, name) = (name.clone(), needed.clone());
                    return Err(Incomplete::Missing { from, kind: *kind, name });
                }
            }
        }
        if has_map { self.check_maps() } else { Err(Incomplete::NoMap) }
    }

    /// Checks that each control plane with clusters has a map. Its parts come one after the other.
    fn check_maps(&self) -> Result<(), Incomplete> {
        if self.get(Kind::Filter, FILTER_NAME).is_some() {
            return Ok(());
        }
        let clusters = self.0.get(&Kind::Clusters).into_iter().flat_map(BTreeMap::keys);
        for cluster in clusters {
            let name = owner(Kind::Clusters, cluster).map(|one| format!("{FILTER_NAME}/{one}"));
            if name.is_none_or(|name| self.get(Kind::Filter, &name).is_none()) {
                return Err(Incomplete::MissingMap { cluster: cluster.clone() });
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = (Kind, &String, &Facts)> {
        self.0.iter().flat_map(|(kind, all)| all.iter().map(|(name, facts)| (*kind, name, facts)))
    }

    fn get(&self, kind: Kind, name: &str) -> Option<&Facts> {
        self.0.get(&kind)?.get(name)
    }
}

/// Reads a resource.
fn content(kind: Kind, resource: &Resource) -> Facts {
    let any = resource.resource.as_ref().ok_or("it is empty")?;
    let value = xds::decode(&any.type_url, &any.value).map_err(|error| error.to_string())?;
    let mut names: Vec<_> = secrets(&value).map(|name| (Kind::Secrets, name)).collect();
    names.extend(filters(&value).map(|name| (Kind::Filter, name)));
    let mut has_map = false;
    match kind {
        Kind::Clusters => names.push((Kind::Endpoints, resource.name.clone())),
        Kind::Endpoints if !is_endpoints_version(&resource.version) => {
            return Err("its version is not known".to_owned());
        }
        Kind::Listeners => listener::check(&value)?,
        Kind::Filter => {
            for map in maps(&value) {
                has_map = true;
                names.extend(clusters(&map).into_iter().map(|name| (Kind::Clusters, name)));
            }
        }
        Kind::Endpoints | Kind::Secrets => {}
    }
    Ok(Content { names, has_map })
}

/// Returns the secrets that come over the same stream.
fn secrets(value: &Value) -> impl Iterator<Item = String> {
    names_of(value, |fields| is_ads(fields.get("sdsConfig")))
}

/// Returns the filters that come over the same stream and that a listener waits for. It does not wait
/// for one with a default.
fn filters(value: &Value) -> impl Iterator<Item = String> {
    names_of(value, |fields| {
        let discovery = fields.get("configDiscovery");
        let has_default = discovery.is_some_and(|one| one.get("defaultConfig").is_some());
        !has_default && is_ads(discovery.and_then(|one| one.get("configSource")))
    })
}

fn is_ads(source: Option<&Value>) -> bool {
    source.is_some_and(|source| source.get("ads").is_some())
}

/// Returns the names of the objects that are chosen.
fn names_of(
    value: &Value,
    is_one: impl Fn(&Map<String, Value>) -> bool,
) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    visit(value, &mut |fields| {
        let name = fields.get("name").and_then(Value::as_str);
        found.extend(name.filter(|_| is_one(fields)).map(str::to_owned));
    });
    found.into_iter()
}

/// Returns the maps in a filter. Not every field has to be known: the companion can be newer.
fn maps(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    visit(value, &mut |fields| {
        let text = fields.get("configuration").and_then(|text| text.get("value"));
        let map: Option<Value> =
            text.and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
        found.extend(map.filter(|map| map.get("defaultCluster").is_some()));
    });
    found
}

/// Returns the clusters that a map names.
fn clusters(map: &Value) -> Vec<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let sets = map.get("sets").and_then(Value::as_array).into_iter().flatten();
    let mut clusters: Vec<_> = sets.filter_map(|set| text(set.get("cluster"))).collect();
    if let Some(default) = text(map.get("defaultCluster")) {
        clusters.push(format!("{default}{ROTATION_SUFFIX}"));
        clusters.push(default);
    }
    clusters
}

fn visit(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(fields);
            fields.values().for_each(|value| visit(value, see));
        }
        Value::Array(values) => values.iter().for_each(|value| visit(value, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
