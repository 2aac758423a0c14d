//! Objects that the tests on real control planes create, and their paths.

use fake_apiserver::replay::Crd;
use serde_json::{Value, json};

/// `mutatingadmissionpolicies`: servers since 1.36 have them.
pub const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

/// Their bindings: likewise.
pub const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";

/// `devicetaintrules`: servers since 1.37 have them.
pub const TAINT_RULES: &str = "/apis/resource.k8s.io/v1/devicetaintrules";

/// `storageversionmigrations`: servers since 1.37 have them.
pub const MIGRATIONS: &str = "/apis/storagemigration.k8s.io/v1/storageversionmigrations";

/// ConfigMaps: every server has them.
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Deployments: every server has them.
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Pods: every server has them, though not each of their subresources.
pub const PODS: &str = "/api/v1/namespaces/default/pods";

/// Cluster trust bundles: only a server on which they are turned on.
pub const TRUST_BUNDLES: &str = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";

/// Namespaces.
pub const NAMESPACES: &str = "/api/v1/namespaces";

/// CustomResourceDefinitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Returns a policy for a type that does not exist, so it never applies.
pub fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["nothing.example"],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["nothings"],
            }] },
            "reinvocationPolicy": "Never",
            "mutations": [{
                "patchType": "JSONPatch",
                "jsonPatch": {
                    "expression": r#"[JSONPatch{op: "test", path: "/kind", value: "Nothing"}]"#,
                },
            }],
        },
    })
}

/// Returns a binding of a policy that does not exist.
pub fn binding(name: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": "nothing" },
    })
}

/// Returns a taint of no device.
pub fn taint_rule(name: &str) -> Value {
    json!({
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": { "name": name },
        "spec": { "taint": { "key": "nothing.example/taint", "effect": "NoSchedule" } },
    })
}

/// Returns a migration of a type that does not exist.
pub fn migration(name: &str) -> Value {
    json!({
        "apiVersion": "storagemigration.k8s.io/v1",
        "kind": "StorageVersionMigration",
        "metadata": { "name": name },
        "spec": { "resource": { "group": "nothing.example", "resource": "nothings" } },
    })
}

/// Returns a ConfigMap.
pub fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name },
        "data": { "key": "value" },
    })
}

/// Returns a Job; without controllers it does not change.
pub fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "none.example/none" }],
        } } },
    })
}

/// Returns a HorizontalPodAutoscaler of something that does not exist.
pub fn autoscaler(name: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "none" },
            "minReplicas": 1,
            "maxReplicas": 2,
        },
    })
}

/// Returns a Namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// Returns a Deployment; without controllers it does not change.
pub fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "none.example/none" }] },
            },
        },
    })
}

/// Returns a Pod that needs no controller, and that no kubelet runs.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main",
                "image": "none.example/none",
                "resources": { "requests": { "cpu": "10m" } },
            }],
        },
    })
}

/// Returns a bundle of one certificate.
pub fn trust_bundle(name: &str, certificate_pem: &str) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1beta1",
        "kind": "ClusterTrustBundle",
        "metadata": { "name": name },
        "spec": { "trustBundle": certificate_pem },
    })
}

/// A request of the empty name, signed with a key that nobody has kept.
const STUB_REQUEST: &str = "MH8wMwIBADAAMCowBQYDK2VwAyEAHdD3fAOhDsN/+u/uszfGKuqGRHH4DlopDiGucM3QvfGgADAFBgMrZXADQQD\
    /2QJLYLbEKMeIzRNRcPO7K1/qgJiQ6Si1UJDzLHynklAlNkH/rfO3lEeXy3s+eUzd+WIjY8RJr95v/w0GJ1MB";

/// Returns a request for a pod's certificate that no signer answers.
pub fn pod_certificate_request(name: &str) -> Value {
    let uid = "00000000-0000-4000-8000-000000000000";
    json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "PodCertificateRequest",
        "metadata": { "name": name },
        "spec": {
            "signerName": "none.example/none",
            "podName": "none", "podUID": uid,
            "serviceAccountName": "none", "serviceAccountUID": uid,
            "nodeName": "none", "nodeUID": uid,
            "maxExpirationSeconds": 86400,
            "stubPKCS10Request": STUB_REQUEST,
        },
    })
}

/// Returns the definition of a namespaced custom resource `<plural>.<group>` of version v1
/// without a schema.
pub fn definition(plural: &str, group: &str) -> Value {
    Crd { plural: plural.to_owned(), ..Crd::new(group, &kind(plural)) }.to_object()
}

/// Returns an object of [`definition`]'s kind.
pub fn custom_object(plural: &str, group: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{group}/v1"),
        "kind": kind(plural),
        "metadata": { "name": name },
    })
}

/// Returns the kind of a plural: without the s, and with a capital.
fn kind(plural: &str) -> String {
    let mut letters = plural.trim_end_matches('s').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
