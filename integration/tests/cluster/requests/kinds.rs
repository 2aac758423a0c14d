//! The types under test, and the servers that serve them.

use harness::control_plane::ControlPlane;
use harness::manifests::{
    BINDINGS, CONFIG_MAPS, DEPLOYMENTS, PODS, POLICIES, TRUST_BUNDLES, binding, config_map,
    deployment, pod, policy, trust_bundle,
};
use harness::skew::{NEW, OLD};
use serde_json::{Value, json};

/// A type, and where it lives.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its collection.
    pub collection: &'static str,
    /// The servers that serve it.
    pub servers: &'static [usize],
    /// A subresource that is read and patched, and the servers that have it.
    pub subresource: Option<Subresource>,
    /// Any valid object.
    pub object: Value,
}

/// A subresource.
#[derive(Debug, Clone)]
pub struct Subresource {
    /// Its name.
    pub name: &'static str,
    /// The servers that serve it.
    pub servers: &'static [usize],
    /// A merge patch that it takes.
    pub patch: Value,
}

impl Kind {
    /// Returns an object of this name.
    pub fn named(&self, name: &str) -> Value {
        let mut object = self.object.clone();
        if let Some(metadata) = object.pointer_mut("/metadata") {
            *metadata = json!({ "name": name });
        }
        object
    }
}

/// Returns all types.
pub fn all(plane: &ControlPlane) -> Vec<Kind> {
    let kind =
        |collection, servers, object| Kind { collection, servers, subresource: None, object };
    let bundle = trust_bundle("any", &plane.pki().ca_pem());
    vec![
        kind(POLICIES, &[NEW], policy("any")),
        kind(BINDINGS, &[NEW], binding("any")),
        kind(TRUST_BUNDLES, &[OLD], bundle),
        kind(CONFIG_MAPS, &[OLD, NEW], config_map("any")),
        Kind {
            subresource: Some(Subresource {
                name: "scale",
                servers: &[OLD, NEW],
                patch: json!({ "spec": { "replicas": 2 } }),
            }),
            ..kind(DEPLOYMENTS, &[OLD, NEW], deployment("any"))
        },
        Kind {
            subresource: Some(Subresource {
                name: "resize",
                servers: &[NEW],
                patch: json!({ "spec": { "containers": [{
                    "name": "main",
                    "image": "none.example/none",
                    "resources": { "requests": { "cpu": "20m" } },
                }] } }),
            }),
            ..kind(PODS, &[OLD, NEW], pod("any"))
        },
    ]
}

/// Collections that no server has: of groups, versions, resources and
/// subresources.
pub const UNKNOWN: [&str; 7] = [
    "/apis/nothing.example/v1/things",
    "/apis/nothing.example/v1/namespaces/default/things",
    "/apis/apps/v9/namespaces/default/deployments",
    "/apis/admissionregistration.k8s.io/v1/nothings",
    "/apis/admissionregistration.k8s.io/v1alpha1/mutatingadmissionpolicies",
    "/api/v1/namespaces/default/nothings",
    "/api/v1/namespaces/default/pods/any/nothing",
];

/// The forms of an answer that clients ask for.
pub const ACCEPTS: [Option<&str>; 4] = [
    None,
    Some("application/json"),
    Some("application/vnd.kubernetes.protobuf,application/json"),
    Some("application/yaml"),
];
