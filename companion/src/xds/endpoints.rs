//! Endpoints (EDS).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::message::type_url;

/// The endpoints of a cluster. All are in rotation: a peer that is not ready is not among them, and
/// Envoy notices a dead one before anyone else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The name of the cluster.
    pub cluster: String,
    /// Their addresses.
    pub addresses: Vec<SocketAddr>,
}

impl Endpoints {
    /// Returns the resource in proto3 JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let endpoint = |address: &SocketAddr| {
            let socket = json!({
                "address": address.ip().to_string(),
                "port_value": address.port(),
            });
            json!({ "endpoint": { "address": { "socket_address": socket } } })
        };
        let endpoints: Vec<_> = self.addresses.iter().map(endpoint).collect();
        json!({
            "@type": type_url("envoy.config.endpoint.v3.ClusterLoadAssignment"),
            "cluster_name": self.cluster,
            "endpoints": [{ "lb_endpoints": endpoints }],
        })
    }
}
