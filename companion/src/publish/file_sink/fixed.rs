//! The endpoints of fixed clusters, made from those of the clusters that maps name.
//!
//! ```text
//!  kube-apiserver ─────────────▶ kube-apiserver
//!  kube-apiserver__rotation ───▶ kube-apiserver__rotation
//!  kube-apiserver_a ────────┐
//!  kube-apiserver_a_b ──────┴──▶ kube-apiserver__sets: a in both sets, b in one
//! ```
//!
//! Each with its twin. So one file has all sets, and whoever reads it has all of them or none. Its
//! levels are those of the default cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use discovery_map::FRONT_PROXY_SUFFIX;
use serde_json::Value;

use crate::config::ClusterPrefix;
use crate::endpoints::Addresses;
use crate::publish::plan::{Name, fixed_clusters, is_by_set};
use crate::xds;

/// The fixed clusters, and the endpoints that were published, by the clusters that maps name.
#[derive(Debug)]
pub struct FixedClusters {
    prefix: ClusterPrefix,
    names: BTreeSet<String>,
    published: Addresses,
}

impl FixedClusters {
    /// Goes on from the endpoints that an earlier run published.
    pub fn new(prefix: ClusterPrefix, published: Addresses) -> Self {
        Self { names: fixed_clusters(&prefix), prefix, published }
    }

    /// Adds or replaces the endpoints of these clusters.
    pub fn extend(&mut self, endpoints: &Addresses) {
        self.published.extend(endpoints.clone());
    }

    /// Removes the endpoints of a cluster.
    pub fn remove(&mut self, cluster: &str) {
        self.published.remove(cluster);
    }

    /// Returns the clusters whose endpoints are published.
    pub fn inventory(&self) -> impl Iterator<Item = Name> {
        self.published.keys().cloned().map(Name::Endpoints)
    }

    /// Returns the endpoints of each fixed cluster in proto3 JSON.
    pub fn endpoints(&self) -> Vec<(String, Value)> {
        let of = |name: &String| {
            let endpoints = if is_by_set(name) {
                self.of_sets(name)
            } else {
                xds::endpoints(name, &self.published.get(name).cloned().unwrap_or_default())
            };
            (name.clone(), endpoints)
        };
        self.names.iter().map(of).collect()
    }

    /// Returns the endpoints of all sets. One of a set that is retired, and of no level any more,
    /// is on the last one.
    fn of_sets(&self, name: &str) -> Value {
        let twins = if name.ends_with(FRONT_PROXY_SUFFIX) { FRONT_PROXY_SUFFIX } else { "" };
        let default = self.published.get(&format!("{}{twins}", self.prefix));
        let levels = default.map_or(&[][..], |default| default.levels());
        let mut in_levels = vec![Vec::new(); levels.len() + 1];
        for (address, sets) in self.sets(!twins.is_empty()) {
            let level = levels.iter().position(|level| level.contains(&address));
            if let Some(level) = in_levels.get_mut(level.unwrap_or(levels.len())) {
                level.push((address, sets));
            }
        }
        xds::endpoints_by_set(name, &in_levels)
    }

    /// Returns every endpoint of a set, or of a set's twin, and the sets that it is in.
    fn sets(&self, twins: bool) -> BTreeMap<SocketAddr, BTreeSet<&str>> {
        let mut sets = BTreeMap::<_, BTreeSet<_>>::new();
        for (set, endpoints) in &self.published {
            if set.ends_with(FRONT_PROXY_SUFFIX) == twins && !self.names.contains(set) {
                for address in endpoints.all() {
                    sets.entry(address).or_default().insert(set.as_str());
                }
            }
        }
        sets
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::endpoints::Endpoints;

    fn of_levels(levels: &[&[u16]]) -> Endpoints {
        let address = |port: &u16| SocketAddr::from(([10, 0, 0, 1], *port));
        Endpoints::of_levels(levels.iter().map(|level| level.iter().map(address).collect()))
    }

    fn published() -> FixedClusters {
        let all = [
            ("p", of_levels(&[&[1], &[2, 3]])),
            ("p__rotation", of_levels(&[&[1, 2, 3]])),
            ("p_b", of_levels(&[&[2]])),
            ("p_a_b", of_levels(&[&[1], &[2]])),
            ("p_gone", of_levels(&[&[9]])),
        ];
        let twin = |(name, endpoints): &(&str, Endpoints)| {
            [(*name).to_owned(), format!("{name}__front-proxy")]
                .map(|name| (name, endpoints.clone()))
        };
        let all = all.iter().flat_map(twin).collect();
        let mut fixed = FixedClusters::new("p".parse().unwrap(), Addresses::new());
        fixed.extend(&all);
        fixed
    }

    /// The ports with their sets, level by level.
    fn sets(fixed: &FixedClusters, name: &str) -> Value {
        let endpoints: BTreeMap<_, _> = fixed.endpoints().into_iter().collect();
        let levels = endpoints[name]["endpoints"].as_array().unwrap().iter();
        let of_level = |level: &Value| {
            let one = |one: &Value| {
                let port = &one["endpoint"]["address"]["socket_address"]["port_value"];
                (port.to_string(), one["metadata"]["filter_metadata"]["envoy.lb"]["set"].clone())
            };
            let endpoints = level["lb_endpoints"].as_array().unwrap().iter();
            Value::Object(endpoints.map(one).collect())
        };
        levels.map(of_level).collect()
    }

    #[test]
    fn an_endpoint_has_the_names_of_its_sets_on_the_level_that_it_has_in_the_default_cluster() {
        let mut fixed = published();
        let with = json!([{ "1": ["p_a_b"] }, { "2": ["p_a_b", "p_b"] }, { "9": ["p_gone"] }]);
        assert_eq!(sets(&fixed, "p__sets"), with);
        fixed.remove("p_gone");
        fixed.remove("p_a_b");
        assert_eq!(sets(&fixed, "p__sets"), json!([{}, { "2": ["p_b"] }, {}]));
        let twins = sets(&fixed, "p__sets__front-proxy");
        assert_eq!(twins[1], json!({ "2": ["p_a_b__front-proxy", "p_b__front-proxy"] }));
    }

    #[test]
    fn there_are_always_the_same_clusters() {
        let names = |fixed: &FixedClusters| -> Vec<String> {
            fixed.endpoints().into_iter().map(|(name, _)| name).collect()
        };
        let all = [
            "p",
            "p__front-proxy",
            "p__rotation",
            "p__rotation__front-proxy",
            "p__sets",
            "p__sets__front-proxy",
        ];
        let none = FixedClusters::new("p".parse().unwrap(), Addresses::new());
        assert_eq!(names(&none), all);
        assert_eq!(sets(&none, "p__sets"), json!([{}]));
        assert_eq!(names(&published()), all);
        assert_eq!(published().inventory().count(), 10);
    }
}
