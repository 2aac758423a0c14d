//! From a document to a map: everything is checked, every fault is reported.

use std::collections::HashSet;

use serde::Deserialize;

use crate::document::{
    BySet, Document, FRONT_PROXY_SUFFIX, Identity, PeerEntry, SCHEMA_VERSION, SetEntry,
    StrictNotFound, Versions,
};
use crate::fault::{Fault, Faults};
use crate::map::{DiscoveryMap, Group, Resource, Scope, SetRoute, Version};

mod merged;
#[cfg(test)]
mod tests;

/// Reads the JSON. A document of another schema version is refused by that
/// name, and not for the unknown fields that it may well have.
pub(crate) fn parse(json: &[u8]) -> Result<Document, Faults> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope {
        schema_version: u32,
    }

    let envelope: Envelope = from_slice(json)?;
    if envelope.schema_version != SCHEMA_VERSION {
        return Err(unsupported(envelope.schema_version));
    }
    from_slice(json)
}

/// Checks the document as a whole and lays it out for look-ups.
pub(crate) fn build(document: Document) -> Result<DiscoveryMap, Faults> {
    if document.schema_version != SCHEMA_VERSION {
        return Err(unsupported(document.schema_version));
    }
    let mut check = Check { set_count: document.sets.len(), faults: Vec::new() };
    if document.generation == 0 {
        check.fault("generation", "must be 1 or more");
    }
    check.peers(&document.peers);
    check.cluster("defaultCluster", &document.default_cluster);
    check.identity(&document.identity);
    check.sets(&document.sets, document.peers.len());
    check.set_index("widestView", document.widest_view);

    let groups = document
        .groups
        .into_iter()
        .map(|(name, versions)| check.group(name, versions, &document.sets))
        .collect();
    let documents = check.documents(document.documents);
    let open_api_v3 = check.open_api(&document.open_api);
    if let Some(strict) = &document.strict_not_found {
        check.strict_not_found(strict);
    }
    if !check.faults.is_empty() {
        return Err(Faults(check.faults));
    }
    let clusters =
        document.sets.into_iter().map(|set| set_route(set, &document.default_cluster)).collect();
    Ok(DiscoveryMap {
        generation: document.generation,
        complete: document.complete,
        default_cluster: document.default_cluster.into_boxed_str(),
        identity: document.identity,
        peers: document.peers,
        clusters,
        widest_view: document.widest_view,
        groups,
        documents,
        open_api_v2: document.open_api.v2,
        open_api_v3,
        strict_not_found: document.strict_not_found,
    })
}

fn from_slice<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Faults> {
    serde_json::from_slice(json).map_err(|error| Faults::one("document", error.to_string()))
}

fn unsupported(found: u32) -> Faults {
    Faults::one(
        "schemaVersion",
        format!("version {found} is not supported; this build reads version {SCHEMA_VERSION}"),
    )
}

/// No client waits for longer than this to be told that a type is unknown.
const MAX_TIMEOUT_MILLISECONDS: u32 = 60_000;

/// What a request needs for something else. A name that is one of these, or a
/// prefix of one, would be taken from every request. Of `impersonate-` that
/// would be worse than a fault: the request would be done as the client itself.
const NEEDED: [&str; 14] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "if-none-match",
    "impersonate-",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Whether this can be a header by which a front proxy speaks. `_` counts as
/// `-`, as it does when a client's headers are removed.
fn is_identity_header(name: &str) -> bool {
    let name = name.replace('_', "-");
    is_token(&name) && !NEEDED.contains(&name.as_str()) && !name.starts_with("impersonate-")
}

/// The same of a prefix.
fn is_identity_prefix(prefix: &str) -> bool {
    let prefix = prefix.replace('_', "-");
    let takes = |needed: &&str| needed.starts_with(&prefix);
    is_identity_header(&prefix) && !NEEDED.iter().any(takes)
}

fn is_token(name: &str) -> bool {
    let token = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !name.is_empty() && name.bytes().all(token)
}

fn set_route(set: SetEntry, default_cluster: &str) -> SetRoute {
    match set.cluster {
        None => SetRoute::Unavailable,
        Some(cluster) if cluster == default_cluster => SetRoute::Default,
        Some(cluster) => SetRoute::Cluster(cluster.into_boxed_str()),
    }
}

/// The set that answers best for all that `by_set` lists: one with a cluster
/// before one without, then the one with the most peers, then the first.
fn widest(candidates: impl Iterator<Item = u16>, sets: &[SetEntry]) -> u16 {
    let width = |set: u16| {
        sets.get(usize::from(set)).map_or((false, 0), |s| (s.cluster.is_some(), s.peers.len()))
    };
    candidates.max_by_key(|&set| (width(set), std::cmp::Reverse(set))).unwrap_or_default()
}

/// Collects the faults while the parts are checked.
struct Check {
    set_count: usize,
    faults: Vec<Fault>,
}

impl Check {
    fn fault(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault { place: place.into(), problem: problem.into() });
    }

    fn peers(&mut self, peers: &[PeerEntry]) {
        let mut names = HashSet::new();
        for (index, peer) in peers.iter().enumerate() {
            if peer.name.is_empty() {
                self.fault(format!("peers[{index}].name"), "must not be empty");
            } else if !names.insert(peer.name.as_str()) {
                self.fault(
                    format!("peers[{index}].name"),
                    format!("\"{}\" is the name of an earlier peer", peer.name),
                );
            }
        }
    }

    fn identity(&mut self, identity: &Identity) {
        type Rule = fn(&str) -> bool;
        let (name, prefix): (Rule, Rule) = (is_identity_header, is_identity_prefix);
        let lists = [
            ("usernameHeaders", &identity.username_headers, identity.front_proxy, name),
            ("groupHeaders", &identity.group_headers, identity.front_proxy, name),
            ("uidHeaders", &identity.uid_headers, false, name),
            ("extraHeaderPrefixes", &identity.extra_header_prefixes, false, prefix),
        ];
        for (list, names, needed, is_sound) in lists {
            if needed && names.is_empty() {
                self.fault(format!("identity.{list}"), "must have a name for the front proxy");
            }
            for (index, name) in names.iter().enumerate() {
                if !is_sound(name) {
                    self.fault(
                        format!("identity.{list}[{index}]"),
                        format!("{name:?} is no name, in lower case, of a header for this alone"),
                    );
                }
            }
        }
    }

    /// A cluster name travels as a header value and as a statistics name.
    fn cluster(&mut self, place: &str, name: &str) {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.fault(place, format!("{name:?} must be visible ASCII and not empty"));
        } else if name.ends_with(FRONT_PROXY_SUFFIX) {
            self.fault(place, format!("{name:?} must not end in {FRONT_PROXY_SUFFIX:?}"));
        }
    }

    fn strict_not_found(&mut self, strict: &StrictNotFound) {
        self.cluster("strictNotFound.cluster", &strict.cluster);
        if !(1..=MAX_TIMEOUT_MILLISECONDS).contains(&strict.timeout_milliseconds) {
            self.fault(
                "strictNotFound.timeoutMilliseconds",
                format!("must be from 1 to {MAX_TIMEOUT_MILLISECONDS}"),
            );
        }
    }

    fn sets(&mut self, sets: &[SetEntry], peer_count: usize) {
        let mut clusters = HashSet::new();
        for (index, set) in sets.iter().enumerate() {
            let place = format!("sets[{index}]");
            if !set.peers.is_sorted_by(|a, b| a < b) {
                self.fault(format!("{place}.peers"), "must be ascending, without repetition");
            }
            for &peer in set.peers.iter().filter(|&&peer| usize::from(peer) >= peer_count) {
                self.fault(
                    format!("{place}.peers"),
                    format!("{peer} is no peer: there are {peer_count}"),
                );
            }
            let Some(cluster) = &set.cluster else { continue };
            self.cluster(&format!("{place}.cluster"), cluster);
            if !clusters.insert(cluster.as_str()) {
                self.fault(
                    format!("{place}.cluster"),
                    format!("\"{cluster}\" is the cluster of an earlier set"),
                );
            }
        }
    }

    fn set_index(&mut self, place: impl Into<String>, set: u16) {
        if usize::from(set) >= self.set_count {
            let count = self.set_count;
            self.fault(place, format!("{set} is no serving set: there are {count}"));
        }
    }

    fn group(&mut self, name: String, versions: Versions, sets: &[SetEntry]) -> Group {
        let place = format!("groups[\"{name}\"]");
        if versions.0.is_empty() {
            self.fault(&place, "must have a version");
        }
        let versions: Box<[Version]> = versions
            .0
            .into_iter()
            .map(|(version, by_set)| self.version(&place, version, by_set, sets))
            .collect();
        let widest = widest(versions.iter().map(|version| version.widest), sets);
        Group { name: name.into_boxed_str(), widest, versions }
    }

    fn version(&mut self, group: &str, name: String, by_set: BySet, sets: &[SetEntry]) -> Version {
        let place = format!("{group}[\"{name}\"]");
        if name.is_empty() {
            self.fault(&place, "a version must not be empty");
        }
        if by_set.0.is_empty() {
            self.fault(&place, "must have a serving set");
        }
        let widest = widest(by_set.0.keys().copied(), sets);
        let mut resources = Vec::new();
        for (set, names) in by_set.0 {
            self.set_index(&place, set);
            let by_scope =
                [(Scope::Namespaced, names.namespaced), (Scope::Cluster, names.cluster_scoped)];
            for (scope, names) in by_scope {
                let place = format!("{place}[\"{set}\"]");
                let found = names.iter().filter_map(|name| self.resource(&place, name, scope, set));
                resources.extend(found);
            }
        }
        resources.sort_unstable();
        self.repeated(&place, &resources);
        Version { name: name.into_boxed_str(), widest, resources: resources.into_boxed_slice() }
    }

    fn resource(&mut self, place: &str, name: &str, scope: Scope, set: u16) -> Option<Resource> {
        let (resource, subresource) = match name.split_once('/') {
            None => (name, None),
            Some((resource, subresource)) => (resource, Some(subresource)),
        };
        let sound = !resource.is_empty()
            && subresource.is_none_or(|part| !part.is_empty() && !part.contains('/'));
        if !sound {
            let problem = format!("\"{name}\" is neither a resource nor resource/subresource");
            self.fault(place, problem);
            return None;
        }
        let subresource = subresource.unwrap_or_default().into();
        Some(Resource { name: resource.into(), subresource, scope, set })
    }

    fn repeated(&mut self, place: &str, sorted: &[Resource]) {
        for pair in sorted.windows(2) {
            let [first, second] = pair else { continue };
            if (&first.name, &first.subresource) == (&second.name, &second.subresource) {
                let slash = if first.subresource.is_empty() { "" } else { "/" };
                self.fault(
                    place,
                    format!("\"{}{slash}{}\" is listed twice", first.name, first.subresource),
                );
            }
        }
    }
}
