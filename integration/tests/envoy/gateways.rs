//! What is shipped for the controllers of gateways, without these controllers: an Envoy with the
//! clusters and the connection manager of each patch, in front of fake API servers. The `slow_*`
//! tests have the controllers themselves.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use discovery_map::DiscoveryMap;
use fake_apiserver::Version;
use fake_apiserver::replay::{Crd, PEER_HEADER};
use harness::artifacts::{Artifact, integration_folder};
use harness::fleet::Fleet;
use harness::gateway::{Gateway, Patch};
use harness::stack::Stack;
use serde_json::Value;
use wire::client::{Client, ClientOptions, Http};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const WIDGETS: &str = "/apis/only-on-one.example.com/v1/namespaces/default/widgets";
const GADGETS: &str = "/apis/of-two.example.com/v1/namespaces/default/gadgets";
const LATE: &str = "/apis/late.example.com/v1/namespaces/default/things";
const COMMON: &str = "/api/v1/namespaces/default/configmaps";

/// Often enough to meet every server many times.
const ROUNDS: usize = 60;

/// Returns three servers, of two sets each, with an Envoy of this gateway in front of them.
async fn start(gateway: Gateway) -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36, Version::V1_36]).await?;
    fleet.peers[0].add_crd(Crd::new("only-on-one.example.com", "Widget"))?;
    for peer in &fleet.peers[..2] {
        peer.add_crd(Crd::new("of-two.example.com", "Gadget"))?;
    }
    let mut options = fleet.stack_options()?;
    options.gateway = Some(gateway);
    let stack = Stack::start(options).await?;
    wait_for_group(&stack, "only-on-one.example.com").await?;
    wait_for_group(&stack, "of-two.example.com").await?;
    Ok((fleet, stack))
}

async fn wait_for_group(stack: &Stack, group: &str) -> Result<()> {
    let what = format!("a map with {group}");
    stack.wait_for_map(&what, |map| map.complete && map.group(group.as_bytes()).is_some()).await
}

/// The servers that answer.
async fn answering(clients: &[Client], path: &str) -> Result<BTreeSet<String>> {
    let mut peers = BTreeSet::new();
    for round in 0..ROUNDS {
        let answer = clients[round % clients.len()].get(path).await?.ok()?;
        peers.insert(answer.header(PEER_HEADER).unwrap_or("nobody").to_owned());
    }
    Ok(peers)
}

/// Clients without and with a certificate, over both protocols, with several connections.
fn clients(fleet: &Fleet, stack: &Stack) -> Result<[Vec<Client>; 2]> {
    let certificate = fleet.pki().client("somebody", "somebody", &[])?;
    let with_certificate = |http| {
        let (url, ca_pem) = (stack.url(), fleet.pki().ca_pem());
        let certificate = Some(certificate.clone());
        Client::new(&ClientOptions { url, ca_pem, certificate, http, ..ClientOptions::default() })
    };
    let protocols = [Http::One, Http::Two, Http::One, Http::Two];
    let with: Result<_> = protocols.into_iter().map(with_certificate).collect();
    let without: Result<_> =
        protocols.into_iter().map(|http| fleet.client(&stack.url(), http)).collect();
    Ok([without?, with?])
}

async fn every_request_reaches_a_server_that_knows_its_type(gateway: Gateway) -> Result<()> {
    let (fleet, stack) = start(gateway).await?;
    has_the_clusters(gateway, &stack)?;
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut expected: Vec<(&str, BTreeSet<String>)> = vec![
        (POLICIES, set(&["cp-2", "cp-3"])),
        (WIDGETS, set(&["cp-1"])),
        (GADGETS, set(&["cp-1", "cp-2"])),
        (COMMON, set(&["cp-1", "cp-2", "cp-3"])),
    ];
    for clients in clients(&fleet, &stack)? {
        for (path, servers) in &expected {
            assert_eq!(answering(&clients, path).await?, *servers, "{path}");
        }
    }
    // A set that Envoy has not seen.
    for peer in [&fleet.peers[0], &fleet.peers[2]] {
        peer.add_crd(Crd::new("late.example.com", "Thing"))?;
    }
    // The companion may read one of the two first, and push a map with it alone.
    let both_serve = |map: &DiscoveryMap| {
        let found = map.resource(b"late.example.com", b"v1", b"things", None);
        found.is_some_and(|found| map.peers_of(found.set).count() == 2)
    };
    stack.wait_for_map("a map with both servers of a type", both_serve).await?;
    expected.push((LATE, set(&["cp-1", "cp-3"])));
    for clients in clients(&fleet, &stack)? {
        for (path, servers) in &expected[2..] {
            assert_eq!(answering(&clients, path).await?, *servers, "{path}");
        }
    }
    let retries = stack.envoy.metric("envoy_cluster_upstream_rq_retry", &[]).await?;
    ensure!(retries < 1.0, "{retries} requests were sent to another server first");
    for cluster in ["kube-apiserver__sets", "kube-apiserver__sets__front-proxy"] {
        let requests = stack.envoy.stat(&format!("cluster.{cluster}.upstream_rq_total")).await?;
        ensure!(requests.is_some_and(|count| count > 200), "{cluster}: {requests:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_request_reaches_a_server_that_knows_its_type_by_envoy_gateway() -> Result<()> {
    every_request_reaches_a_server_that_knows_its_type(Gateway::Envoy).await
}

#[tokio::test]
async fn every_request_reaches_a_server_that_knows_its_type_by_istio() -> Result<()> {
    every_request_reaches_a_server_that_knows_its_type(Gateway::Istio).await
}

/// Fails unless the patch has the clusters that the companion publishes endpoints for.
fn has_the_clusters(gateway: Gateway, stack: &Stack) -> Result<()> {
    let module = Artifact::Filter.path()?;
    let module = module.parent().and_then(Path::to_str).context("not UTF-8")?;
    let published = stack.options().published();
    let clusters = fs::read_to_string(published.join("cds.json"))?
        .replace(published.to_str().context("not UTF-8")?, "/var/lib/mixed-version-proxy/envoy")
        .replace(module, "/usr/lib/mixed-version-proxy");
    let mut clusters: Value = serde_json::from_str(&clusters)?;
    let clusters = clusters["resources"].as_array_mut().context("no clusters")?;
    for cluster in clusters.iter_mut() {
        cluster.as_object_mut().context("no cluster")?.remove("@type");
    }
    let mut patched = Patch::read(gateway)?.clusters;
    for list in [&mut *clusters, &mut patched] {
        list.sort_by_key(|cluster| cluster["name"].to_string());
    }
    for (published, patched) in clusters.iter().zip(&patched) {
        assert_eq!(published, patched);
    }
    assert_eq!(clusters.len(), patched.len());
    Ok(())
}

#[test]
fn the_connection_managers_are_the_load_balancers_but_for_their_clusters() -> Result<()> {
    let file = integration_folder().join("../envoy-config/load-balancer/envoy.yaml");
    let load_balancer: Value = serde_saphyr::from_str(&fs::read_to_string(file)?)?;
    let place = "/static_resources/listeners/1/filter_chains/0/filters/0/typed_config";
    let mut expected = load_balancer.pointer(place).context("no connection manager")?.clone();
    let [filters, routes] = take(&mut expected)?;
    for gateway in Gateway::ALL {
        let mut manager = Patch::read(gateway)?.connection_manager;
        let [mut own_filters, mut own_routes] = take(&mut manager)?;
        assert_eq!(manager, expected);
        let added = own_filters.as_array_mut().context("no filters")?.remove(1);
        assert_eq!(added["name"], "envoy.filters.http.header_to_metadata");
        assert_eq!(own_filters, filters);
        let hosts =
            [&routes, &own_routes].map(|routes| routes["virtual_hosts"][0]["routes"].clone());
        let retries = |routes: &Value| -> BTreeSet<String> {
            let policies = routes.as_array().into_iter().flatten();
            policies.map(|route| route["route"]["retry_policy"].to_string()).collect()
        };
        assert_eq!(retries(&hosts[0]), retries(&hosts[1]));
        own_routes["virtual_hosts"][0]["routes"] = hosts[0].clone();
        assert_eq!(own_routes, routes);
    }
    Ok(())
}

/// Takes the filters and the routes out of a connection manager.
fn take(manager: &mut Value) -> Result<[Value; 2]> {
    let fields = manager.as_object_mut().context("no fields")?;
    let mut take = |name: &str| fields.remove(name).with_context(|| format!("no {name}"));
    Ok([take("http_filters")?, take("route_config")?])
}
