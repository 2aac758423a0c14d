//! Where a group-version comes from: built into a kube-apiserver, or from the
//! store that all of them share (custom resources, aggregated APIs).
//!
//! kube-apiserver makes an `APIService` object for every group-version, and
//! labels those that it makes for its own at its start.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the cluster says about its group-versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<Box<str>, bool>);

/// The list of `APIService` objects, whole or with their metadata alone.
#[derive(Debug, Deserialize)]
pub struct OriginsList {
    items: Vec<ApiService>,
}

#[derive(Debug, Deserialize)]
struct ApiService {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    /// `<version>.<group>`
    name: Box<str>,
    #[serde(default)]
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
}

const LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";

impl From<OriginsList> for Origins {
    fn from(list: OriginsList) -> Self {
        let services = list.items.into_iter().map(|service| {
            let labels = service.metadata.labels.unwrap_or_default();
            let built_in = labels.get(LABEL).is_some_and(|value| &**value == "onstart");
            (service.metadata.name, built_in)
        });
        Self(services.collect())
    }
}

impl Origins {
    /// Returns whether a group-version is built in. If the cluster does not say, or the companion
    /// may not ask, the group's name decides: Kubernetes' own groups have no dot or end in
    /// `.k8s.io`. Some custom resources of Kubernetes' sub-projects then count as built in. That is
    /// the safe side: they are unavailable for a while although they could be gone.
    #[must_use]
    pub fn is_built_in(&self, group: &str, version: &str) -> bool {
        if group.is_empty() {
            return true;
        }
        let known = self.0.get(format!("{version}.{group}").as_str());
        known.copied().unwrap_or_else(|| !group.contains('.') || group.ends_with(".k8s.io"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_decides_and_without_it_the_name() {
        let list = r#"{"kind":"PartialObjectMetadataList","items":[
            {"metadata":{"name":"v1.apps","labels":{"kube-aggregator.kubernetes.io/automanaged":"onstart"}}},
            {"metadata":{"name":"v1.gateway.networking.k8s.io",
                "labels":{"kube-aggregator.kubernetes.io/automanaged":"true"}}},
            {"metadata":{"name":"v1beta1.metrics.k8s.io"}}]}"#;
        let origins: Origins = serde_json::from_str::<OriginsList>(list).unwrap().into();
        for (group, version, built_in) in [
            ("", "v1", true),
            ("apps", "v1", true),
            ("gateway.networking.k8s.io", "v1", false),
            ("metrics.k8s.io", "v1beta1", false),
            ("other.k8s.io", "v1", true),
            ("batch", "v1", true),
            ("example.com", "v1", false),
        ] {
            assert_eq!(origins.is_built_in(group, version), built_in, "{group}/{version}");
        }
        assert!(Origins::default().is_built_in("metrics.k8s.io", "v1beta1"));
    }
}
