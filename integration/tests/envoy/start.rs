//! Envoy is started before the companion has learned anything: it waits, answers
//! 503, and serves as soon as there is a map.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::Canned;
use harness::artifacts::integration_folder;
use harness::envoy::{Envoy, EnvoyOptions};
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use reqwest::StatusCode;
use serde_json::json;
use wire::client::{Answer, Client, Http};

const DEADLINE: Duration = Duration::from_secs(60);

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Returns a stack in front of a server that does not answer the companion yet.
async fn start_early(fleet: &Fleet) -> Result<Stack> {
    fleet.peers[0]
        .answer_with("/readyz", Canned { delay: Duration::from_secs(600), ..Canned::default() });
    let mut options = fleet.stack_options()?;
    options.waits_for_map = false;
    // The first map waits for an answer for as long as this, twice: so long that two Envoys can start
    // before it on a busy machine.
    options.companion = json!({ "polling": { "timeout": "60s" } });
    Stack::start(options).await
}

/// Lets the server answer the companion. Stopping it closes the connection of the waiting request.
async fn let_answer(fleet: &mut Fleet) -> Result<()> {
    let peer = fleet.peer(0)?;
    peer.stop().await;
    peer.answer_as_recorded();
    peer.start_again().await
}

fn is_refused(answer: &Answer) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    let status = answer.json()?;
    ensure!(status["kind"] == "Status" && status["reason"] == "ServiceUnavailable", "{status}");
    ensure!(status["message"].as_str().is_some_and(|m| m.contains("no discovery map yet")));
    Ok(())
}

/// Returns an Envoy of `envoy-config/load-balancer` that reads the stack's files.
async fn load_balancer(fleet: &Fleet) -> Result<Envoy> {
    let file = integration_folder().join("../envoy-config/load-balancer/envoy.yaml");
    let published = fleet.stack_options()?.published();
    let published = published.to_str().context("the folder is not UTF-8")?;
    let options = EnvoyOptions::from_file(&file, fleet.folder().join("load-balancer"))?
        // Not every machine that runs tests has IPv6.
        .replacing("address: \"::\", ipv4_compat: true", "address: 127.0.0.1")?
        .replacing("port_value: 6443", "port_value: 0")?
        .replacing("port_value: 9901", "port_value: 0")?
        .replacing("port_value: 9903", "port_value: 0")?
        .replacing("/var/lib/mixed-version-proxy/envoy", published)?;
    Envoy::start(options).await
}

async fn serves(client: &Client) -> Result<()> {
    wait::until("an answer of a server", DEADLINE, async || {
        client.get(CONFIG_MAPS).await?.ok()?;
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn an_envoy_that_starts_before_the_first_map_refuses_requests_until_it_comes() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = start_early(&fleet).await?;
    for http in [Http::One, Http::Two] {
        let client = fleet.client(&stack.url(), http)?;
        for path in [CONFIG_MAPS, "/apis", "/healthz"] {
            is_refused(&client.get(path).await?)?;
        }
        is_refused(&client.post(CONFIG_MAPS, &json!({})).await?)?;
    }
    let_answer(&mut fleet).await?;
    for http in [Http::One, Http::Two] {
        serves(&fleet.client(&stack.url(), http)?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_load_balancer_gets_no_client_before_the_first_map() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = start_early(&fleet).await?;
    let envoy = load_balancer(&fleet).await?;
    let health = Client::plain(envoy.listener_port("health").await?)?;
    let answer = health.get("/healthz").await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(stack.companion.get("/v1/map").await?.status == StatusCode::SERVICE_UNAVAILABLE);

    let_answer(&mut fleet).await?;
    wait::until("the health check", DEADLINE, async || {
        health.get("/healthz").await?.ok()?;
        anyhow::Ok(())
    })
    .await
}
