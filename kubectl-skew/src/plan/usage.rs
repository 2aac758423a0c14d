//! What servers count of requests and objects, by their `/metrics`.
//!
//! `apiserver_requested_deprecated_apis` is 1 for each deprecated type that was requested, with the release
//! that removes it (KEP-1693). `apiserver_request_total` counts requests of every type.
//! `apiserver_resource_objects` (`apiserver_storage_objects` before 1.34) has the number of stored objects by
//! resource, which the server updates each minute. All of them begin anew when a server restarts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::builtin::ApiType;
use crate::exposition::{Sample, samples};

const PREFIX: &str = "apiserver_";

/// A deprecated type that clients requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deprecated {
    #[serde(flatten)]
    pub api: ApiType,
    /// The release that removes it; `None` if none is planned, and of custom resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_in: Option<String>,
    /// The number of requests since the servers started.
    pub requests: u64,
}

/// What all servers that could be read count.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The requests since each server started, by type and server.
    requests: BTreeMap<ApiType, BTreeMap<String, u64>>,
    /// The release that removes a deprecated type that was requested; empty if none is planned.
    deprecated: BTreeMap<ApiType, String>,
    /// The largest number of objects, by group and resource.
    objects: BTreeMap<(String, String), u64>,
}

impl Usage {
    /// Adds what a server exposes.
    pub fn add(&mut self, server: &str, metrics: &str) {
        for sample in samples(metrics, PREFIX, "request_total") {
            if let (Some(api), Some(count)) = (type_of(&sample), sample.count()) {
                let by_server = self.requests.entry(api).or_default();
                *by_server.entry(server.to_owned()).or_default() += count;
            }
        }
        for sample in samples(metrics, PREFIX, "requested_deprecated_apis") {
            if let Some(api) = type_of(&sample) {
                let release = sample.label("removed_release").unwrap_or_default();
                self.deprecated.insert(api, release.to_owned());
            }
        }
        let old = samples(metrics, PREFIX, "storage_objects");
        for sample in samples(metrics, PREFIX, "resource_objects").chain(old) {
            if let (Some(resource), Some(count)) = (resource_of(&sample), sample.count()) {
                let known = self.objects.entry(resource).or_default();
                *known = (*known).max(count);
            }
        }
    }

    /// Returns the requests of a type, and the servers that got some.
    pub fn requests(&self, api: &ApiType) -> (u64, Vec<String>) {
        let by_server = self.requests.get(api).into_iter().flatten();
        let total = by_server.clone().map(|(_, count)| count).sum();
        (total, by_server.map(|(server, _)| server.clone()).collect())
    }

    /// Returns the number of objects of a resource, in whatever version they are stored; `None` if no
    /// server says.
    pub fn objects(&self, api: &ApiType) -> Option<u64> {
        self.objects.get(&(api.group.clone(), api.resource.clone())).copied()
    }

    /// Returns the deprecated types that were requested, without those that are listed elsewhere.
    pub fn deprecated(&self, without: &BTreeSet<&ApiType>) -> Vec<Deprecated> {
        let others = self.deprecated.iter().filter(|(api, _)| !without.contains(api));
        let deprecated = |(api, release): (&ApiType, &String)| Deprecated {
            api: api.clone(),
            removed_in: Some(release.clone()).filter(|release| !release.is_empty()),
            requests: self.requests(api).0,
        };
        others.map(deprecated).collect()
    }
}

/// Returns the type that a sample counts; `None` of requests of no type, such as those of `/version`.
fn type_of(sample: &Sample<'_>) -> Option<ApiType> {
    let label = |name| sample.label(name);
    let (group, version, resource) = (label("group")?, label("version")?, label("resource")?);
    if version.is_empty() || resource.is_empty() {
        return None;
    }
    match label("subresource") {
        None | Some("") => Some(ApiType::new(group, version, resource)),
        Some(subresource) => {
            Some(ApiType::new(group, version, &format!("{resource}/{subresource}")))
        }
    }
}

/// Returns group and resource: from two labels, or of older metrics from `deployments.apps`.
fn resource_of(sample: &Sample<'_>) -> Option<(String, String)> {
    let resource = sample.label("resource")?;
    let (resource, group) = match sample.label("group") {
        Some(group) => (resource, group),
        None => resource.split_once('.').unwrap_or((resource, "")),
    };
    Some((group.to_owned(), resource.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ApiType, Usage};

    const METRICS: &str = r#"
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="a.io",resource="wands",scope="cluster",subresource="",verb="LIST",version="v1alpha1"} 5
apiserver_request_total{code="201",component="apiserver",dry_run="",group="a.io",resource="wands",scope="resource",subresource="",verb="POST",version="v1alpha1"} 2
apiserver_request_total{code="200",component="apiserver",dry_run="",group="a.io",resource="wands",scope="resource",subresource="status",verb="GET",version="v1alpha1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="",scope="",subresource="/version",verb="GET",version=""} 9
apiserver_requested_deprecated_apis{group="a.io",removed_release="1.37",resource="wands",subresource="",version="v1alpha1"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
apiserver_resource_objects{group="a.io",resource="wands"} 3
apiserver_storage_objects{resource="wands.a.io"} 3
apiserver_storage_objects{resource="pods"} -1
"#;

    #[test]
    fn requests_of_all_verbs_and_servers_are_added_up() {
        let mut usage = Usage::default();
        let wands = ApiType::new("a.io", "v1alpha1", "wands");
        assert_eq!(usage.requests(&wands), (0, vec![]));
        usage.add("a", METRICS);
        usage.add("b", METRICS);
        assert_eq!(usage.requests(&wands), (14, vec!["a".to_owned(), "b".to_owned()]));
        let status = ApiType::new("a.io", "v1alpha1", "wands/status");
        assert_eq!(usage.requests(&status).0, 2);
        assert_eq!(usage.requests.len(), 2);
    }

    #[test]
    fn deprecated_types_have_the_release_that_removes_them() {
        let mut usage = Usage::default();
        usage.add("a", METRICS);
        let all = usage.deprecated(&BTreeSet::new());
        let found: Vec<_> = all
            .iter()
            .map(|one| (one.api.to_string(), one.removed_in.as_deref(), one.requests))
            .collect();
        let expected =
            [("v1 componentstatuses", None, 0), ("a.io/v1alpha1 wands", Some("1.37"), 7)];
        assert_eq!(found, expected.map(|(name, release, count)| (name.to_owned(), release, count)));
        let wands = ApiType::new("a.io", "v1alpha1", "wands");
        assert_eq!(usage.deprecated(&BTreeSet::from([&wands])).len(), 1);
    }

    #[test]
    fn objects_are_counted_by_resource_and_a_failed_count_is_unknown() {
        let mut usage = Usage::default();
        usage.add("a", METRICS);
        assert_eq!(usage.objects(&ApiType::new("a.io", "v1", "wands")), Some(3));
        assert_eq!(usage.objects(&ApiType::new("", "v1", "pods")), None);
    }
}
