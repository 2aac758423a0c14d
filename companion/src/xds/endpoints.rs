//! Endpoints (EDS).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::message::type_url;

/// Returns the endpoints of a cluster in proto3 JSON. All are in rotation: a peer that is not ready is
/// not among them, and Envoy notices a dead one before anyone else.
pub fn endpoints(cluster: &str, addresses: &[SocketAddr]) -> Value {
    let endpoint = |address: &SocketAddr| {
        let (address, port) = (address.ip().to_string(), address.port());
        let socket = json!({ "address": address, "port_value": port });
        json!({ "endpoint": { "address": { "socket_address": socket } } })
    };
    let endpoints: Vec<_> = addresses.iter().map(endpoint).collect();
    json!({
        "@type": type_url("envoy.config.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": cluster,
        "endpoints": [{ "lb_endpoints": endpoints }],
    })
}
