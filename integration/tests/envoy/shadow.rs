//! The modes of the filter on a real Envoy, in front of a fake 1.35 (`cp-1`) and a fake 1.36
//! (`cp-2`): in shadow mode everything is as without the filter, and counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use discovery_map::Mode;
use fake_apiserver::Version;
use fake_apiserver::replay::PEER_HEADER;
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use reqwest::Method;
use serde_json::json;
use wire::client::{Client, Http};

mod compare;
mod switching;

use compare::{AGGREGATED, POLICIES, ROUNDS};

const DEADLINE: Duration = Duration::from_secs(30);

async fn start(mode: Mode) -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    options.companion = json!({ "mode": mode });
    let stack = Stack::start_with_map(options).await?;
    Ok((fleet, stack))
}

/// Waits until Envoy has counted so many changes that the mode withheld.
async fn withheld(stack: &Stack, of: &str, outcome: &str, expected: usize) -> Result<()> {
    let name = format!("mixed_version_proxy_withheld_{of}_total");
    let label = format!("outcome=\"{outcome}\"");
    let expected = f64::from(u32::try_from(expected)?);
    wait::until(&format!("{expected} {of} that would be {outcome}"), DEADLINE, async || {
        let found = stack.envoy.metric(&name, &[&label]).await?;
        ensure!(found == expected, "{found}");
        anyhow::Ok(())
    })
    .await
}

async fn send(client: &Client, path: &str, accept: &str, times: usize) -> Result<Vec<u16>> {
    let mut found = Vec::new();
    for _ in 0..times {
        let answer = client.send(client.request(Method::GET, path).header("accept", accept));
        found.push(answer.await?.status.as_u16());
    }
    Ok(found)
}

#[tokio::test]
async fn in_shadow_mode_responses_are_those_of_an_envoy_without_the_filter() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    compare::responses(&fleet).await
}

#[tokio::test]
async fn in_shadow_mode_servers_get_the_requests_of_an_envoy_without_the_filter() -> Result<()> {
    compare::requests().await
}

#[tokio::test]
async fn in_shadow_mode_what_would_have_changed_is_counted() -> Result<()> {
    let (mut fleet, stack) = start(Mode::Shadow).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let json = "application/json";

    let mut wrong = 0;
    for http in [Http::One, Http::Two] {
        let found = send(&fleet.client(&stack.url(), http)?, POLICIES, json, ROUNDS).await?;
        ensure!(found.iter().all(|status| matches!(status, 200 | 404)), "{found:?}");
        wrong += found.iter().filter(|status| **status == 404).count();
    }
    ensure!(wrong > 0, "round robin never met the older server");
    withheld(&stack, "not_found", "prevented", wrong).await?;
    withheld(&stack, "requests", "rerouted", 2 * ROUNDS).await?;

    send(&client, "/apis", AGGREGATED, 3).await?;
    withheld(&stack, "requests", "merged", 3).await?;

    // True 404s, of objects and of types, are no changes.
    let absent = "/api/v1/namespaces/default/configmaps/absent";
    for path in [absent, "/apis/nosuch.io/v1/foos", "/nosuch"] {
        assert_eq!(send(&client, path, json, 4).await?, [404; 4], "{path}");
    }
    withheld(&stack, "not_found", "prevented", wrong).await?;

    // The only server of the type is gone: enforcing would answer 503.
    fleet.peer(1)?.set_ready(false);
    stack.wait_for_map("one server", |map| map.rotation.len() == 1).await?;
    assert_eq!(send(&client, POLICIES, json, 5).await?, [404; 5]);
    withheld(&stack, "requests", "refused", 5).await?;
    withheld(&stack, "not_found", "replaced", 5).await?;
    assert_eq!(stack.envoy.metric("mixed_version_proxy_not_found_replaced_total", &[]).await?, 0.0);
    assert_eq!(
        stack.envoy.metric("mixed_version_proxy_type_level_not_found_total", &[]).await?,
        0.0
    );
    Ok(())
}

#[tokio::test]
async fn rerouting_finds_the_servers_of_a_type_and_never_answers_503_for_a_404() -> Result<()> {
    let (mut fleet, stack) = start(Mode::Reroute).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..ROUNDS {
        let answer = client.get(POLICIES).await?.ok()?;
        assert_eq!(answer.header(PEER_HEADER), Some("cp-2"));
    }
    let merged = client.send_with(Method::GET, "/apis", &[("accept", AGGREGATED)]).await?.ok()?;
    ensure!(merged.text().contains("mutatingadmissionpolicies"), "not merged");

    // Also if the map is late, the other server is asked.
    fleet.peer(1)?.set_ready(false);
    stack.wait_for_map("one server", |map| map.rotation.len() == 1).await?;
    assert_eq!(send(&client, POLICIES, "application/json", 5).await?, [404; 5]);
    let protobuf = "application/vnd.kubernetes.protobuf";
    assert_eq!(send(&client, POLICIES, protobuf, 3).await?, [404; 3]);
    withheld(&stack, "requests", "refused", 8).await?;
    assert_eq!(stack.envoy.metric("mixed_version_proxy_not_found_replaced_total", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_switch_of_the_mode_takes_a_moment_and_fails_no_request() -> Result<()> {
    switching::under_load(6).await
}
