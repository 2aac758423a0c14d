//! The endpoints of a cluster (EDS).
//!
//! All are in rotation: a peer that is not ready is not among them, and Envoy notices a dead one
//! before anyone else. A level gets nothing while an endpoint of an earlier one is healthy; the
//! default factor of 140% would share the load as soon as a third of a level is gone.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::message::type_url;
use crate::endpoints::Endpoints;

/// In percent: how much of the load the share of healthy endpoints in a level takes. One healthy
/// endpoint of 1,000 takes all.
const ALL: u32 = 100_000;

/// Envoy's name for the metadata by which it chooses among the endpoints of one cluster.
const SUBSETS: &str = "envoy.lb";

/// The metadata with the sets that an endpoint is in, and with that of a request.
pub const SET: &str = "set";

/// An endpoint of a cluster with the endpoints of all sets, and the sets that it is in.
pub type InSets<'n> = (SocketAddr, BTreeSet<&'n str>);

/// Returns the endpoints of a cluster in proto3 JSON.
pub fn endpoints(cluster: &str, endpoints: &Endpoints) -> Value {
    let level = |addresses: &Vec<SocketAddr>| addresses.iter().copied().map(endpoint).collect();
    assignment(cluster, endpoints.levels().iter().map(level))
}

/// Returns the endpoints of a cluster, level by level, each with the names of the sets that it is
/// in. A level may be empty.
pub fn endpoints_by_set(cluster: &str, levels: &[Vec<InSets<'_>>]) -> Value {
    let in_sets = |(address, sets): &InSets<'_>| {
        let mut endpoint = endpoint(*address);
        let metadata = json!({ "filter_metadata": { SUBSETS: { SET: sets } } });
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.insert("metadata".to_owned(), metadata);
        }
        endpoint
    };
    let level = |level: &Vec<InSets<'_>>| level.iter().map(in_sets).collect();
    assignment(cluster, levels.iter().map(level))
}

fn endpoint(address: SocketAddr) -> Value {
    let (address, port) = (address.ip().to_string(), address.port());
    let socket = json!({ "address": address, "port_value": port });
    json!({ "endpoint": { "address": { "socket_address": socket } } })
}

fn assignment(cluster: &str, levels: impl Iterator<Item = Vec<Value>>) -> Value {
    let level = |(priority, endpoints): (usize, Vec<Value>)| json!({ "priority": priority, "lb_endpoints": endpoints });
    let levels: Vec<_> = levels.enumerate().map(level).collect();
    json!({
        "@type": type_url("envoy.config.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": cluster,
        "endpoints": levels,
        "policy": { "overprovisioning_factor": ALL },
    })
}
