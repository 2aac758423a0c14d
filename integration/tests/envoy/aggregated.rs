//! An aggregated API whose own server only one of two API servers (`cp-1`) can
//! reach: `cp-2` calls it stale, and answers 503 for it, as kube-aggregator does.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use discovery_map::{Destination, DiscoveryMap};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, Crd, PEER_HEADER, ReplayPeer, Rules};
use harness::fleet::Fleet;
use harness::stack::Stack;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wire::client::Http;

const GROUP: &str = "metrics.example.com";
const VERSION: &str = "/apis/metrics.example.com/v1";
const SAMPLES: &str = "/apis/metrics.example.com/v1/samples";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

const ROUNDS: usize = 100;

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_36, Version::V1_36]).await?;
    for peer in &fleet.peers {
        peer.add_crd(Crd::new(GROUP, "Sample"))?;
    }
    let stack = fleet.stack().await?;
    stack.wait_for_map("the API", |map| destination(map) == Some(Destination::Default)).await?;
    Ok((fleet, stack))
}

fn destination(map: &DiscoveryMap) -> Option<Destination<'_>> {
    Some(map.resource(GROUP.as_bytes(), b"v1", b"samples", None)?.destination)
}

fn is_at_one(map: &DiscoveryMap) -> bool {
    let document = map.group_version(GROUP.as_bytes(), b"v1");
    destination(map) == Some(Destination::Cluster("kube-apiserver_cp-1"))
        && document == destination(map)
}

/// The API's own server cannot be reached, and the peer says so.
async fn lose(fleet: &Fleet, peer: &ReplayPeer) -> Result<()> {
    let client = fleet.client(&peer.url(), Http::One)?;
    let request = client.request(Method::GET, "/apis").header("accept", V2);
    let mut document = client.send(request).await?.ok()?.json()?;
    let groups = document["items"].as_array_mut().context("no groups")?;
    let group = groups.iter_mut().find(|group| group["metadata"]["name"] == GROUP);
    let version = &mut group.context("no such group")?["versions"][0];
    version["freshness"] = "Stale".into();
    version["resources"] = json!([]);
    peer.answer_with("/apis", Canned { body: document.to_string().into(), ..Canned::default() });
    refuse(peer);
    Ok(())
}

fn refuse(peer: &ReplayPeer) {
    for path in [VERSION, SAMPLES] {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let body = b"service unavailable\n".to_vec();
        peer.answer_with(path, Canned { status, body, ..Canned::default() });
    }
}

/// Returns who answers requests for the API; each must succeed.
async fn answers(fleet: &Fleet, stack: &Stack) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for http in [Http::One, Http::Two] {
        let client = fleet.client(&stack.url(), http)?;
        for path in [SAMPLES, VERSION] {
            for _ in 0..ROUNDS {
                let answer = client.get(path).await?.ok()?;
                seen.insert(answer.header(PEER_HEADER).unwrap_or_default().to_owned());
            }
        }
    }
    Ok(seen)
}

async fn listed(fleet: &Fleet, stack: &Stack) -> Result<Value> {
    let client = fleet.client(&stack.url(), Http::Two)?;
    let request = client.request(Method::GET, "/apis").header("accept", V2);
    let document = client.send(request).await?.ok()?.json()?;
    let groups = document["items"].as_array().context("no groups")?;
    let group = groups.iter().find(|group| group["metadata"]["name"] == GROUP);
    Ok(group.context("no such group")?["versions"][0].clone())
}

#[tokio::test]
async fn only_servers_for_which_an_api_is_fresh_serve_it() -> Result<()> {
    let (fleet, stack) = start().await?;
    lose(&fleet, &fleet.peers[1]).await?;
    let stale = fleet.client(&fleet.peers[1].url(), Http::One)?;
    assert_eq!(stale.get(SAMPLES).await?.status, StatusCode::SERVICE_UNAVAILABLE);

    stack.wait_for_map("the API at one server", is_at_one).await?;
    assert_eq!(answers(&fleet, &stack).await?, ["cp-1".to_owned()].into());
    let version = listed(&fleet, &stack).await?;
    assert_eq!(version["freshness"], "Current");
    assert_eq!(version["resources"][0]["resource"], "samples");

    fleet.peers[1].answer_as_recorded();
    stack.wait_for_map("the API at both", |m| destination(m) == Some(Destination::Default)).await?;
    assert_eq!(answers(&fleet, &stack).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_api_that_every_server_calls_stale_is_asked_of_all() -> Result<()> {
    let (fleet, stack) = start().await?;
    lose(&fleet, &fleet.peers[1]).await?;
    stack.wait_for_map("the API at one server", is_at_one).await?;
    lose(&fleet, &fleet.peers[0]).await?;
    stack.wait_for_map("the API at both", |m| destination(m) == Some(Destination::Default)).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let answer = client.get(SAMPLES).await?;
    ensure!(answer.text() == "service unavailable\n", "{answer:?}");
    assert_eq!(listed(&fleet, &stack).await?["freshness"], "Stale");
    Ok(())
}

#[tokio::test]
async fn in_older_discovery_a_failing_document_says_that_the_version_is_stale() -> Result<()> {
    let (fleet, stack) = start().await?;
    let peer = &fleet.peers[1];
    peer.set_rules(Rules { older_forms_only: true, ..Rules::default() });
    refuse(peer);
    // Anything it has not listed before makes the companion read it again.
    peer.add_crd(Crd::new("another.example.com", "Widget"))?;
    stack.wait_for_map("the API at one server", is_at_one).await?;
    assert_eq!(answers(&fleet, &stack).await?, ["cp-1".to_owned()].into());
    Ok(())
}
