//! The requests to a real server besides its discovery documents: those that it
//! refuses, and unusual paths.

use fake_apiserver::recordings::AGGREGATED;

/// The older aggregated form, which 1.35 and 1.36 refuse.
const AGGREGATED_BETA: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Returns the other forms in which discovery is asked for, of `/api` and `/apis`.
pub(super) fn discovery_accepts() -> [String; 6] {
    [
        AGGREGATED.to_owned(),
        AGGREGATED_BETA.to_owned(),
        format!("{AGGREGATED};profile=nopeer"),
        // client-go's, and the same of a peer-aware one.
        format!("{AGGREGATED},{AGGREGATED_BETA},application/json"),
        format!("{AGGREGATED};profile=nopeer,{AGGREGATED},{AGGREGATED_BETA},application/json"),
        "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList".to_owned(),
    ]
}

/// Requests without an `Accept` header, one per line: method and path.
pub(super) const PLAIN: &str = "\
GET /api/v1/nosuch
GET /api/v1/nosuch/x
GET /api/v1/namespaces/default/nosuch
GET /api/v1/namespaces/default/nosuch/x
GET /api/v9
GET /api/v9/pods
GET /apis/apps/v1/nosuch
GET /apis/apps/v1/namespaces/default/nosuch/x
GET /apis/apps/v9
GET /apis/apps/v9/deployments
GET /apis/nosuch.group
GET /apis/nosuch.group/
GET /apis/nosuch.group/v1
GET /apis/nosuch.group/v1/foos
GET /apis/nosuch.group/v1/namespaces/default/foos/x
GET /apis/apiextensions.k8s.io/v1/nosuch
GET /apis/apiregistration.k8s.io/v1/nosuch
GET /apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/absent
GET /apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/absent
GET /api/v1/namespaces/absent
GET /api/v1/namespaces/absent/status
GET /api/v1/namespaces/default/nosuchsub
GET /api/v1/namespaces/default/configmaps/absent
GET /api/v1/namespaces/default/configmaps/absent/
GET /api/v1/namespaces/default/configmaps/absent/status
GET /api/v1/namespaces/default/config%6Daps/absent
GET /api/v1/namespaces/default/configmaps/a%2Fb
GET /api/v1/%6eamespaces/default/configmaps/absent
GET /api/v1/namespaces/default/pods/absent
GET /api/v1/namespaces/default/pods/absent/log
GET /api/v1/namespaces/default/pods/absent/log/extra
GET /api/v1/namespaces/default/pods/absent/nosuchsub
GET /api/v1/namespaces/default/services/absent/proxy/a//b
GET /api/v1/nodes/absent/proxy/a/b
GET /api/v1/pods/x
GET /apis/apps/v1/deployments/x
GET /apis/apps/v1/namespaces/default/deployments/absent
GET /apis/apps/v1/namespaces/default/deployments/absent/scale
GET /apis/apps/v1/namespaces/default/deployments/absent/nosuch
GET //api/v1/pods
GET /api/v1//pods
GET /api//v1/pods
GET /api/v1/./pods
GET /api/v1/../v1/pods
GET /API/v1/pods
GET /api/v1/Pods
GET /apis/Apps/v1/deployments
GET /apis/apps/V1/deployments
GET /api/v1/watch/nosuch
GET /apis/apps/v1/watch/nosuch
GET /api/v1/proxy/nodes/x
GET /nosuch
GET /nosuch/api/v1
HEAD /api/v1/nosuch/x
HEAD /apis/nosuch.group/v1/foos
POST /apis/apps/v1/namespaces/default/nosuch
POST /apis/apps/v9/namespaces/default/deployments
POST /apis/nosuch.group/v1/foos
PUT /api/v1/namespaces/default/nosuch/x
DELETE /apis/apps/v1/namespaces/default/nosuch/x
DELETE /api/v1/namespaces/default/configmaps/absent
OPTIONS /apis/apps/v1/nosuch
POST /api/v1/pods
POST /apis/apps/v1
GET /apis/example.com
GET /apis/example.com/v1
GET /apis/example.com/v1/namespaces/default/widgets/absent
GET /apis/example.com/v1/namespaces/default/widgets/absent/status
GET /apis/example.com/v1/namespaces/default/widgets/absent/nosuch
GET /apis/example.com/v1/widgets/absent
GET /apis/example.com/v1/nosuch
GET /apis/example.com/v1/namespaces/default/nosuch/x
GET /apis/example.com/v9
GET /apis/example.com/v9/widgets
POST /apis/example.com/v1/namespaces/default/nosuch
GET /readyz
GET /livez
GET /healthz";

/// Paths of 404s that are asked for with each of [`ACCEPTS`] as well.
pub(super) const NEGOTIATED: [&str; 5] = [
    "/apis/apps/v1/namespaces/default/nosuch/x",
    "/apis/apps/v9/deployments",
    "/apis/nosuch.group/v1/foos",
    "/apis/example.com/v1/nosuch",
    "/api/v1/namespaces/default/configmaps/absent",
];

/// See [`NEGOTIATED`].
pub(super) const ACCEPTS: [&str; 8] = [
    "application/json",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/yaml",
    "application/cbor",
    "text/plain",
    "*/*",
];
