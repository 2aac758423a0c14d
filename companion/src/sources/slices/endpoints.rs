//! From slices to servers.
//!
//! All endpoints count, whatever their conditions: a server that terminates may still answer, one
//! that starts will be ready soon, and polling finds both out sooner than the slices say it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use kube::ResourceExt;

use crate::config::SlicePort;
use crate::sources::news::{News, Server};

/// Returns the servers of the slices of a Service. Of a server with addresses of both families, as
/// in a dual-stack Service, it is the one of IPv4.
///
/// # Errors
/// A slice does not have the port.
pub(super) fn servers<'s>(
    slices: impl Iterator<Item = &'s EndpointSlice>,
    port: &SlicePort,
) -> News {
    let mut found = BTreeMap::new();
    for slice in slices {
        let endpoints = slice.endpoints.iter().flatten();
        for endpoint in endpoints.filter(|endpoint| !endpoint.addresses.is_empty()) {
            let server = server(slice, endpoint, port)?;
            let identity = identity(endpoint).unwrap_or_else(|| server.address.to_string());
            // IPv4 comes first.
            let best = found.entry((identity, server.address.port())).or_insert(server.clone());
            if server.address < best.address {
                *best = server;
            }
        }
    }
    Ok(found.into_values().collect())
}

fn server(slice: &EndpointSlice, endpoint: &Endpoint, port: &SlicePort) -> Result<Server, String> {
    let problem = |problem: String| format!("EndpointSlice {}: {problem}", slice.name_any());
    // The others are the same server's; their meaning is not defined.
    let address = endpoint.addresses.first().map(String::as_str).unwrap_or_default();
    let ip: IpAddr =
        address.parse().map_err(|_| problem(format!("{address:?} is not an IP address")))?;
    let ports = slice.ports.as_deref().unwrap_or_default();
    let port = pick(ports, port).map_err(problem)?;
    Ok(Server { address: SocketAddr::new(ip, port), name: name(endpoint) })
}

/// Returns the port that is the API server's.
fn pick(ports: &[EndpointPort], wanted: &SlicePort) -> Result<u16, String> {
    if let SlicePort::Number(number) = wanted {
        return Ok(*number);
    }
    let is_tcp = |port: &&EndpointPort| port.protocol.as_deref().is_none_or(|name| name == "TCP");
    let is_wanted = |port: &&EndpointPort| match wanted {
        SlicePort::Named(name) => port.name.as_deref() == Some(name.as_str()),
        SlicePort::Only | SlicePort::Number(_) => true,
    };
    let mut fitting = ports.iter().filter(is_tcp).filter(is_wanted).filter_map(|port| port.port);
    let names = || {
        let name = |port: &EndpointPort| port.name.clone().unwrap_or_default();
        format!("{:?}", ports.iter().map(name).collect::<Vec<_>>())
    };
    match (fitting.next(), fitting.next()) {
        (Some(port), None) => u16::try_from(port).map_err(|_| format!("{port} is not a port")),
        (Some(_), Some(_)) => Err(format!("has several ports, set one of {}", names())),
        (None, _) => match wanted {
            SlicePort::Named(name) => Err(format!("has no port {name}, but {}", names())),
            SlicePort::Only | SlicePort::Number(_) => Err("has no port; set its number".to_owned()),
        },
    }
}

/// Returns what is the same of all addresses of a server.
fn identity(endpoint: &Endpoint) -> Option<String> {
    let target = endpoint.target_ref.as_ref()?;
    target.uid.clone().or_else(|| target.name.clone())
}

/// Returns the name of the pod, else what else the slice calls the server.
fn name(endpoint: &Endpoint) -> Option<String> {
    let target = endpoint.target_ref.as_ref().and_then(|target| target.name.as_ref());
    let names = [target, endpoint.hostname.as_ref(), endpoint.node_name.as_ref()];
    names.into_iter().flatten().next().cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(name: &str, ports: &Value, endpoints: &Value) -> EndpointSlice {
        let family = if endpoints.to_string().contains("fd00") { "IPv6" } else { "IPv4" };
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "addressType": family,
            "ports": ports,
            "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn pod(name: &str, address: &str) -> Value {
        json!({
            "addresses": [address],
            "conditions": { "ready": false },
            "targetRef": { "kind": "Pod", "name": name, "uid": format!("uid of {name}") },
            "nodeName": "node-1",
        })
    }

    fn https() -> Value {
        json!([{ "name": "https", "port": 6443, "protocol": "TCP" }])
    }

    /// Returns the servers as `name@address`.
    fn found(slices: &[EndpointSlice], port: &str) -> Result<Vec<String>, String> {
        let port = if port.is_empty() { SlicePort::Only } else { port.parse().unwrap() };
        let shown =
            |server: Server| format!("{}@{}", server.name.unwrap_or_default(), server.address);
        servers(slices.iter(), &port).map(|found| found.into_iter().map(shown).collect())
    }

    #[test]
    fn every_endpoint_of_every_slice_is_a_server_ready_or_not() {
        let slices = [
            slice("a", &https(), &json!([pod("x", "10.0.0.1"), pod("y", "10.0.0.2")])),
            slice("b", &https(), &json!([pod("z", "10.0.0.3")])),
            slice("empty", &Value::Null, &Value::Null),
        ];
        let expected = ["x@10.0.0.1:6443", "y@10.0.0.2:6443", "z@10.0.0.3:6443"];
        assert_eq!(found(&slices, "").unwrap(), expected);
    }

    #[test]
    fn a_server_with_addresses_of_both_families_is_one_server() {
        let six = slice("six", &https(), &json!([pod("x", "fd00::1"), pod("y", "fd00::2")]));
        let four = slice("four", &https(), &json!([pod("x", "10.0.0.1")]));
        let expected = ["x@10.0.0.1:6443", "y@[fd00::2]:6443"];
        assert_eq!(found(&[six, four], "").unwrap(), expected);
    }

    #[test]
    fn endpoints_of_the_api_servers_themselves_have_no_names() {
        let own = json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }]);
        let slices = [slice("kubernetes", &https(), &own)];
        assert_eq!(found(&slices, "").unwrap(), ["@10.0.0.1:6443", "@10.0.0.2:6443"]);
        let named = json!([
            { "addresses": ["10.0.0.1"], "hostname": "host", "nodeName": "node" },
            { "addresses": ["10.0.0.2"], "nodeName": "node" },
        ]);
        let slices = [slice("kubernetes", &https(), &named)];
        assert_eq!(found(&slices, "").unwrap(), ["host@10.0.0.1:6443", "node@10.0.0.2:6443"]);
    }

    #[test]
    fn the_port_is_the_only_one_or_the_named_one_or_the_given_one() {
        let two = json!([
            { "name": "https", "port": 6443 },
            { "name": "metrics", "port": 8443 },
            { "name": "quic", "port": 6443, "protocol": "UDP" },
        ]);
        let slices = [slice("a", &two, &json!([pod("x", "10.0.0.1")]))];
        assert_eq!(found(&slices, "metrics").unwrap(), ["x@10.0.0.1:8443"]);
        assert_eq!(found(&slices, "7443").unwrap(), ["x@10.0.0.1:7443"]);
        for (port, problem) in [("", "has several ports"), ("quic", "has no port quic")] {
            let error = found(&slices, port).unwrap_err();
            assert!(error.starts_with(&format!("EndpointSlice a: {problem}")), "{error}");
        }
        let bare = [slice("a", &Value::Null, &json!([pod("x", "10.0.0.1")]))];
        assert!(found(&bare, "").unwrap_err().ends_with("has no port; set its number"));
        assert_eq!(found(&bare, "6443").unwrap(), ["x@10.0.0.1:6443"]);
    }

    #[test]
    fn an_address_that_is_not_an_ip_address_is_an_error() {
        let named = json!([{ "addresses": ["api.example.com"] }]);
        let error = found(&[slice("a", &https(), &named)], "").unwrap_err();
        assert_eq!(error, "EndpointSlice a: \"api.example.com\" is not an IP address");
    }
}
