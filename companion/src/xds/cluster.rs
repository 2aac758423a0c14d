//! Clusters (CDS), with TLS to the peers.

use serde_json::{Value, json};

use super::endpoints::SET;
use super::message::{ConfigSource, type_url};
use super::upstream::upstream_filters;
use super::wasm::Module;
use crate::config::ServerName;

/// As many as kube-apiserver allows on a connection (`--http2-max-streams-per-connection`).
pub const MAX_CONCURRENT_STREAMS: u32 = 100;

/// How much of a response a server sends ahead of its client. With less, a fast client of a large
/// list waits (ADR 0033).
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Many clients share a connection to a server. Those that do not read stop their own streams, and
/// no others, as long as the connection's window has room for all streams'.
pub const CONNECTION_WINDOW_BYTES: u32 = 100 << 20;

/// How long a connection without requests stays open. kube-apiserver closes one after 90 s
/// (`IdleTimeout` in k8s.io/apiserver, pkg/server/secure_serving.go). Envoy must close first: a
/// request sent on a connection that its server just closed gets no response, and Envoy sends again
/// only what cannot have been executed. A watch is a request, so its connection is not idle.
const IDLE_TIMEOUT: &str = "60s";

const _: () = assert!(CONNECTION_WINDOW_BYTES >= MAX_CONCURRENT_STREAMS * STREAM_WINDOW_BYTES);

/// A cluster. It names its endpoints and secrets, and does not know where Envoy gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    /// The name in the peers' certificates.
    pub server_name: ServerName,
    /// The secret that verifies the peers.
    pub peer_ca: String,
    /// The secret with the client certificate to present. `None` presents no certificate.
    pub present: Option<String>,
    /// The cluster of a request that a server of this one denied, if Envoy takes the cluster from
    /// a header: the next attempt may still be here. `None` if the route chooses the cluster itself.
    pub after_denial: Option<String>,
    /// Whether an endpoint that cannot be reached gets no requests for some seconds. The only
    /// endpoint of a cluster is to be tried each time.
    pub ejects: bool,
    /// Whether a request reaches only the endpoints that have the name of its set: those of all sets
    /// are in this cluster.
    pub by_set: bool,
    /// The WebAssembly module.
    pub module: Module,
}

impl Cluster {
    /// Returns the resource in proto3 JSON, with the sources of its endpoints and of each secret.
    pub fn to_json(
        &self,
        endpoints: &ConfigSource,
        secret: impl Fn(&str) -> ConfigSource,
    ) -> Value {
        let mut cluster = json!({
            "@type": type_url("envoy.config.cluster.v3.Cluster"),
            "name": self.name,
            "type": "EDS",
            "eds_cluster_config": { "eds_config": endpoints.to_json() },
            "connect_timeout": "1s",
            "lb_policy": "ROUND_ROBIN",
            // A removed host leaves the rotation at once, whatever its health, and finishes the
            // streams that it has.
            "ignore_health_on_host_removal": true,
            // If all hosts are ejected, Envoy still tries them ("panic"): a client that makes servers
            // reset its streams must not take them away from all others. Without a window of 0 s, Envoy
            // would tell its workers of all but the first ejection of a second only at its end: until
            // then, every attempt could be at hosts that are gone.
            "common_lb_config": {
                "healthy_panic_threshold": { "value": 1 },
                "update_merge_window": "0s",
            },
            "circuit_breakers": circuit_breakers(),
            "upstream_connection_options": {
                "tcp_keepalive": {
                    "keepalive_time": 15, "keepalive_interval": 5, "keepalive_probes": 3,
                },
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol_options(&self.filters()),
            },
            "transport_socket": self.transport_socket(secret),
        });
        if let (true, Some(cluster)) = (self.ejects, cluster.as_object_mut()) {
            cluster.insert("outlier_detection".to_owned(), outlier_detection());
        }
        if let (true, Some(cluster)) = (self.by_set, cluster.as_object_mut()) {
            cluster.insert("lb_subset_config".to_owned(), subsets());
        }
        cluster
    }

    fn filters(&self) -> Value {
        upstream_filters(self.after_denial.as_deref(), &self.module)
    }

    fn transport_socket(&self, source: impl Fn(&str) -> ConfigSource) -> Value {
        let secret = |name: &str| json!({ "name": name, "sds_config": source(name).to_json() });
        let name = self.server_name.as_str();
        let mut common = json!({
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [
                        { "san_type": "DNS", "matcher": { "exact": name } },
                    ],
                },
                "validation_context_sds_secret_config": secret(&self.peer_ca),
            },
        });
        if let (Some(present), Some(common)) = (&self.present, common.as_object_mut()) {
            let secrets = json!([secret(present)]);
            common.insert("tls_certificate_sds_secret_configs".to_owned(), secrets);
        }
        let context = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": type_url(context),
                "sni": name,
                "common_tls_context": common,
            },
        })
    }
}

/// A request that names no set, or one without endpoints, reaches none.
fn subsets() -> Value {
    json!({
        "fallback_policy": "NO_FALLBACK",
        "subset_selectors": [{ "keys": [SET] }],
        "list_as_any": true,
    })
}

/// The API server protects itself against overload, and knows who sends the requests. Envoy must
/// not refuse requests in its place because many clients watch.
fn circuit_breakers() -> Value {
    const MANY: u32 = 100_000;
    let thresholds = ["DEFAULT", "HIGH"].map(|priority| {
        json!({
            "priority": priority,
            "max_connections": MANY,
            "max_pending_requests": MANY,
            "max_requests": MANY,
            "max_retries": MANY,
        })
    });
    json!({ "thresholds": thresholds })
}

/// Ejects a peer that cannot be connected to, also while no companion runs that could take it out
/// of the cluster. A response is never a reason: a 5xx may be meant for that one client.
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

/// Upstream speaks as downstream: an upgrade (exec, attach, port-forward) arrives over HTTP/1.1 and
/// needs it all the way; everything else is multiplexed.
fn protocol_options(http_filters: &Value) -> Value {
    json!({
        "@type": type_url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        "http_filters": http_filters,
        "common_http_protocol_options": { "idle_timeout": IDLE_TIMEOUT },
        "use_downstream_protocol_config": {
            "http_protocol_options": {},
            "http2_protocol_options": {
                // Detects a peer that vanished without closing the connection.
                "connection_keepalive": { "interval": "15s", "timeout": "5s" },
                "max_concurrent_streams": MAX_CONCURRENT_STREAMS,
                "initial_stream_window_size": STREAM_WINDOW_BYTES,
                "initial_connection_window_size": CONNECTION_WINDOW_BYTES,
            },
        },
    })
}
