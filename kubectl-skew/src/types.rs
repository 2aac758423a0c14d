//! The map, listed: a row for each type, with who serves it.

use std::collections::BTreeSet;

use discovery_map::{MapDocument, Scope, Verb};
use serde::Serialize;

use crate::facts::Peer;

/// A type, or one verb of it, and who serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub group: String,
    pub version: String,
    /// The resource, with its subresource: `pods/status`.
    pub resource: String,
    /// The verb that only these peers have, of those that serve the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    pub namespaced: bool,
    pub skewed: bool,
    /// The names of the peers that serve it, in rotation or not.
    pub served_by: Vec<String>,
    /// The Envoy cluster of those in rotation. `None` if there are none: requests get 503.
    pub cluster: Option<String>,
}

impl Row {
    fn new(
        document: &MapDocument,
        (group, version): (&str, &str),
        (resource, scope): (&str, Scope),
        (set, verb): (u16, Option<Verb>),
    ) -> Self {
        let set = document.sets.get(usize::from(set));
        let peers = set.map(|set| &*set.peers).unwrap_or_default().iter();
        let cluster = set.and_then(|set| set.cluster.clone());
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            verb,
            namespaced: scope == Scope::Namespaced,
            skewed: cluster.as_ref() != Some(&document.default_cluster),
            served_by: peers
                .filter_map(|&peer| document.peers.get(usize::from(peer)))
                .map(|peer| peer.name.clone())
                .collect(),
            cluster,
        }
    }

    /// Returns `apps/v1 deployments/scale`, with the verb if the row is about one.
    pub fn name(&self) -> String {
        let Self { group, version, resource, verb, .. } = self;
        let slash = if group.is_empty() { "" } else { "/" };
        let verb = verb.map(|verb| format!(" [{verb}]")).unwrap_or_default();
        format!("{group}{slash}{version} {resource}{verb}")
    }

    /// Returns the names of the peers in rotation that serve it.
    pub fn in_rotation<'p>(&self, peers: &'p [Peer]) -> BTreeSet<&'p str> {
        let serving = peers.iter().filter(|peer| peer.is_in_rotation());
        let names = serving.map(|peer| &*peer.name);
        names.filter(|name| self.served_by.iter().any(|own| own == name)).collect()
    }

    /// Returns the path of its collection in all namespaces; `None` of a subresource, which has none.
    pub fn collection(&self) -> Option<String> {
        collection(&self.group, &self.version, &self.resource)
    }
}

/// Returns the path of a collection in all namespaces; `None` of a subresource, which has none.
pub fn collection(group: &str, version: &str, resource: &str) -> Option<String> {
    let base = api_discovery::group_version_path(group, version);
    (!resource.contains('/')).then(|| format!("{base}/{resource}"))
}

/// Returns a row for each type of the map.
pub fn rows(document: &MapDocument) -> Vec<Row> {
    let mut rows = Vec::new();
    for (group, version, set, resources) in document.resources_by_set() {
        let namespaced = resources.namespaced.iter().map(|name| (name, Scope::Namespaced));
        let cluster = resources.cluster_scoped.iter().map(|name| (name, Scope::Cluster));
        rows.extend(
            namespaced.chain(cluster).map(|(name, scope)| {
                Row::new(document, (group, version), (name, scope), (set, None))
            }),
        );
    }
    rows
}

/// Returns a row for each verb that only some peers of a type have.
pub fn verb_rows(document: &MapDocument) -> Vec<Row> {
    let mut rows = Vec::new();
    for (path, sets) in &document.verbs {
        let mut parts = path.splitn(3, '/');
        let (Some(group), Some(version), Some(resource)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let by_set = document.groups.get(group).and_then(|versions| versions.0.get(version));
        let is_namespaced = by_set.is_some_and(|by_set| {
            by_set.0.values().any(|types| types.namespaced.iter().any(|name| name == resource))
        });
        let scope = if is_namespaced { Scope::Namespaced } else { Scope::Cluster };
        rows.extend(sets.0.iter().map(|(verb, set)| {
            Row::new(document, (group, version), (resource, scope), (*set, Some(*verb)))
        }));
    }
    rows
}
