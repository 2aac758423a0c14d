//! What Envoy is told, as resources in proto3 JSON. Pure: no file is touched,
//! and the transport is a detail of whoever carries the resources.
//!
//! Four kinds, in the order in which Envoy must have them: certificates and
//! keys (SDS), the endpoints of each cluster (EDS), the clusters (CDS), and the
//! filter's configuration with the discovery map in it (ECDS).

mod tls;

use std::net::SocketAddr;
use std::path::Path;

use routing::watch;
use serde_json::{Value, json};

pub use tls::{
    CLIENT_CA, LISTENER, UpstreamTls, authorities, front_proxy_name, key_pair, peer_ca_name,
    secret_file,
};

/// The name of the filter, of its VM and of its root, and the name under which
/// the listener asks for it.
pub const FILTER_NAME: &str = "mixed-version-proxy";

const TYPES: &str = "type.googleapis.com";

/// Where the map is in a response that has nothing but the [`filter`], as a JSON
/// pointer.
pub const MAP: &str =
    "/resources/0/typed_config/extension_config/typed_config/config/configuration/value";

/// A discovery response: what a file holds, and a stream would carry.
#[must_use]
pub fn response(version: u64, resources: &[Value]) -> Value {
    json!({ "version_info": version.to_string(), "resources": resources })
}

/// A cluster's endpoints. All are in rotation: a peer that is not ready is not
/// among them, and whether one answers Envoy sees sooner than anyone.
#[must_use]
pub fn endpoints(cluster: &str, addresses: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| {
            let socket = json!({
                "address": address.ip().to_string(),
                "port_value": address.port(),
            });
            json!({ "endpoint": { "address": { "socket_address": socket } } })
        })
        .collect();
    json!({
        "@type": format!("{TYPES}/envoy.config.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": cluster,
        "endpoints": [{ "lb_endpoints": endpoints }],
    })
}

/// A cluster whose endpoints are in a file of their own.
#[must_use]
pub fn cluster(name: &str, endpoints_file: &Path, tls: UpstreamTls<'_>) -> Value {
    json!({
        "@type": format!("{TYPES}/envoy.config.cluster.v3.Cluster"),
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {
                "path_config_source": { "path": endpoints_file },
                "resource_api_version": "V3",
            },
        },
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        // A host that leaves is out of rotation at once, whatever is thought
        // of its health; what it has begun it may finish.
        "ignore_health_on_host_removal": true,
        // Every host of the cluster serves what is sent to it, so the worst
        // that a panic does is to try one that is down.
        "common_lb_config": { "healthy_panic_threshold": { "value": 0 } },
        "circuit_breakers": circuit_breakers(),
        "outlier_detection": outlier_detection(),
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_time": 15, "keepalive_interval": 5, "keepalive_probes": 3,
            },
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol_options(),
        },
        "transport_socket": tls.transport_socket(),
    })
}

/// The API server has its own protection against overload, which knows who
/// asks; Envoy must not answer in its place because many watch.
fn circuit_breakers() -> Value {
    const MANY: u32 = 100_000;
    let thresholds: Vec<Value> = ["DEFAULT", "HIGH"]
        .iter()
        .map(|priority| {
            json!({
                "priority": priority,
                "max_connections": MANY,
                "max_pending_requests": MANY,
                "max_requests": MANY,
                "max_retries": MANY,
            })
        })
        .collect();
    json!({ "thresholds": thresholds })
}

/// Leaves out a peer that cannot be connected to, also while no companion is
/// there to take it out of the cluster. What a peer answers is never a reason:
/// a 5xx may well be meant for that one client.
fn outlier_detection() -> Value {
    json!({
        "split_external_local_origin_errors": true,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "10s",
        "max_ejection_percent": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_failure_percentage": 0,
        "enforcing_failure_percentage_local_origin": 0,
    })
}

/// Upstream as downstream: an upgrade (exec, attach, port-forward) comes over
/// HTTP/1.1 and needs it all the way; everything else multiplexes.
fn protocol_options() -> Value {
    json!({
        "@type": format!("{TYPES}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        "use_downstream_protocol_config": {
            "http_protocol_options": {},
            "http2_protocol_options": {
                // A peer that vanished without a word is found out by this.
                "connection_keepalive": { "interval": "15s", "timeout": "5s" },
                // What Envoy takes in of an answer before the client does: by
                // default 16 MiB, which many slow clients of large lists fill.
                "initial_stream_window_size": 1 << 20,
            },
        },
    })
}

/// The filter with its discovery map, entered again only for responses that
/// matter. Apart from the map every byte is the same in each push: then Envoy
/// goes on using the same VM.
#[must_use]
pub fn filter(map: &str, module: &Path) -> Value {
    json!({
        "@type": format!("{TYPES}/envoy.config.core.v3.TypedExtensionConfig"),
        "name": FILTER_NAME,
        "typed_config": {
            "@type": format!("{TYPES}/envoy.extensions.common.matching.v3.ExtensionWithMatcher"),
            "xds_matcher": skip_responses_that_do_not_matter(),
            "extension_config": { "name": FILTER_NAME, "typed_config": wasm(map, module) },
        },
    })
}

/// A response matters if it is a 404, unless the filter said that it does not,
/// and if the filter said that a document is to be sent.
///
/// Envoy asks with the request's headers, with its trailers and with the
/// response's headers, until the answer is certain. It must not be "skip" before
/// there is a response, for then trailers would not enter the filter: so where
/// nothing of a response matters, that is looked at only once there is a status.
fn skip_responses_that_do_not_matter() -> Value {
    let status = json!({
        "name": "status",
        "typed_config": {
            "@type": format!("{TYPES}/envoy.type.matcher.v3.HttpResponseHeaderMatchInput"),
            "header_name": ":status",
        },
    });
    let watch = json!({
        "name": "watch",
        "typed_config": {
            "@type": format!(
                "{TYPES}/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
            ),
            // Envoy's prefix for what a module leaves with a stream.
            "key": format!("wasm.{}", watch::STATE),
        },
    });
    let not = |predicate: Value| json!({ "not_matcher": predicate });
    let any = |predicates: [Value; 2]| json!({ "or_matcher": { "predicate": predicates } });
    let all = |predicates: [Value; 2]| json!({ "and_matcher": { "predicate": predicates } });
    let matters = any([
        // In this order; see above.
        all([matches(&status, "exact", "404"), not(matches(&watch, "prefix", watch::NOTHING))]),
        matches(&watch, "prefix", watch::DOCUMENT),
    ]);
    let skip = json!({
        "name": "skip",
        "typed_config": {
            "@type": format!(
                "{TYPES}/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
            ),
        },
    });
    json!({
        "matcher_list": {
            "matchers": [{ "predicate": not(matters), "on_match": { "action": skip } }],
        },
    })
}

/// Whether an input is this: `how` is `exact` or `prefix`.
fn matches(input: &Value, how: &str, value: &str) -> Value {
    json!({ "single_predicate": { "input": input, "value_match": { how: value } } })
}

fn wasm(map: &str, module: &Path) -> Value {
    json!({
        "@type": format!("{TYPES}/envoy.extensions.filters.http.wasm.v3.Wasm"),
        "config": {
            "name": FILTER_NAME,
            "root_id": FILTER_NAME,
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "vm_config": {
                "vm_id": FILTER_NAME,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
            "configuration": {
                "@type": format!("{TYPES}/google.protobuf.StringValue"),
                "value": map,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that Envoy is told, beside what it was when an Envoy last
    /// accepted it. On a wanted change: UPDATE_GOLDEN=1, and let Envoy see it.
    #[test]
    fn the_resources_are_those_of_the_golden_file() {
        let addresses = ["10.0.0.1:6443".parse().unwrap(), "[fd00::2]:6443".parse().unwrap()];
        let server_name = "kubernetes".parse().unwrap();
        let tls = UpstreamTls {
            server_name: &server_name,
            secrets: Path::new("/e/sds"),
            peer_ca: "peer-ca-0123456789abcdef",
            present: None,
        };
        let twin = UpstreamTls { present: Some("front-proxy-0123456789abcdef"), ..tls };
        let file = |name| Path::new("/e/eds").join(format!("{name}.json"));
        let resources = [
            key_pair("listener", "CERTIFICATE\n", "KEY\n"),
            authorities("client-ca", None),
            authorities("peer-ca-0123456789abcdef", Some("CERTIFICATE\n")),
            endpoints("kube-apiserver", &addresses),
            cluster("kube-apiserver", &file("kube-apiserver"), tls),
            cluster("kube-apiserver__front-proxy", &file("kube-apiserver__front-proxy"), twin),
            filter("{\"map\":true}", Path::new("/lib/filter.wasm")),
        ];
        let now = serde_json::to_string_pretty(&response(7, &resources)).unwrap() + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/resources.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(now, std::fs::read_to_string(path).unwrap());
    }
}
