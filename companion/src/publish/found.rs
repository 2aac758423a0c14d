//! What an earlier run left for Envoy. Whatever cannot be read is not there.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

/// The version of a file of an earlier run; none if it is not there or damaged.
pub(super) fn version(path: &Path) -> Option<u64> {
    let response: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    response.get("version_info")?.as_str()?.parse().ok()
}

/// The secret that the twins of an earlier run present.
pub(super) fn front_proxy(clusters: &Path) -> Option<String> {
    let response: Value = serde_json::from_slice(&fs::read(clusters).ok()?).ok()?;
    let present = "/transport_socket/typed_config/common_tls_context\
                   /tls_certificate_sds_secret_configs/0/name";
    let mut resources = response.get("resources")?.as_array()?.iter();
    resources.find_map(|cluster| Some(cluster.pointer(present)?.as_str()?.to_owned()))
}

/// The clusters of an earlier run, with the endpoints that they had.
pub(super) fn clusters(directory: &Path) -> impl Iterator<Item = (String, Vec<SocketAddr>)> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| {
        // A temporary file of a killed companion is none of Envoy's.
        if file.path().extension().is_none_or(|extension| extension != "json") {
            return None;
        }
        let response: Value = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
        let assignment = response.pointer("/resources/0")?;
        let name = assignment.get("cluster_name")?.as_str()?.to_owned();
        let endpoints = assignment.pointer("/endpoints/0/lb_endpoints")?.as_array()?;
        Some((name, endpoints.iter().filter_map(socket_address).collect()))
    })
}

fn socket_address(endpoint: &Value) -> Option<SocketAddr> {
    let socket = endpoint.pointer("/endpoint/address/socket_address")?;
    let ip = socket.get("address")?.as_str()?.parse().ok()?;
    let port = socket.get("port_value")?.as_u64()?;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}
