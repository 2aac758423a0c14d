//! `dashboards/mixed-version-proxy.json` and `monitoring/alerts.yaml` in a real Prometheus that scrapes a
//! companion and an Envoy: every query of the dashboard has an answer, and no alert fires while nothing
//! is wrong (`make dashboard-check`).

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::ads::{AdsCompanion, AdsSite};
use harness::artifacts::integration_folder;
use harness::companion::Companion;
use harness::fleet::Fleet;
use harness::prometheus::Prometheus;
use harness::skew::{NEWER, OLDER, only_in};
use harness::stack::Stack;
use harness::wait;
use serde_json::Value;
use wire::client::{Client, Http};

/// Rates need some scrapes, one a second, on a machine that others use too.
const DEADLINE: Duration = Duration::from_secs(90);

/// Returns each panel's title and each of its queries.
fn queries(panels: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels.as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap_or_default();
            // What Grafana puts in their places.
            let query = query.replace("$__rate_interval", "10s").replace("$host", ".*");
            found.push((title.to_owned(), query));
        }
        found.extend(queries(&panel["panels"]));
    }
    found
}

/// Sends one request of each kind that the dashboard shows.
async fn send(client: &Client) -> Result<()> {
    for path in
        [&*only_in(NEWER, OLDER)?, "/api/v1/namespaces", "/apis/nosuch.example.com/v1/a", "/apis"]
    {
        client.get(path).await?;
    }
    Ok(())
}

async fn start() -> Result<(Fleet, Stack, Prometheus)> {
    let (fleet, stack) = start_stack().await?;
    let prometheus = Prometheus::start(&stack, None, &fleet.folder().join("prometheus")).await?;
    Ok((fleet, stack, prometheus))
}

async fn start_stack() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[OLDER, NEWER]).await?;
    let mut options = fleet.stack_options()?;
    options.answering_version = None;
    let stack = Stack::start_with_map(options).await?;
    Ok((fleet, stack))
}

/// Starts a companion that serves Envoys over ADS, and a mirror of it.
async fn start_mirror(fleet: &Fleet) -> Result<(AdsCompanion, Companion)> {
    let mut options = fleet.stack_options()?;
    options.folder = fleet.folder().join("ads");
    let site = AdsSite::new(options)?;
    let companion = site.companion("companion-1").await?;
    let mirror = site.mirror("envoy-1", [companion.port; 2]).await?;
    Ok((companion, mirror))
}

#[tokio::test]
async fn every_query_of_the_dashboard_has_an_answer() -> Result<()> {
    let (fleet, stack) = start_stack().await?;
    let (_companion, mirror) = start_mirror(&fleet).await?;
    let folder = fleet.folder().join("prometheus");
    let prometheus = Prometheus::start(&stack, Some(mirror.port()), &folder).await?;
    let file = integration_folder().join("../dashboards/mixed-version-proxy.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let queries = queries(&dashboard["panels"]);
    ensure!(queries.len() > 25, "{queries:?}");
    for (title, query) in queries {
        wait::until(&format!("an answer of {title}"), DEADLINE, async || {
            send(&client).await?;
            let samples = prometheus.query(&query).await?;
            ensure!(!samples.is_empty(), "{query}: no samples");
            anyhow::Ok(())
        })
        .await?;
    }
    // Not only an answer: what was sent is in it.
    let skewed = r#"sum(mixed_version_proxy_requests_total{decision="skewed"}) > 0"#;
    ensure!(!prometheus.query(skewed).await?.is_empty(), "no request for a skewed type");
    Ok(())
}

#[tokio::test]
async fn no_alert_fires_while_nothing_is_wrong_and_every_alert_can_be_evaluated() -> Result<()> {
    let (fleet, stack, prometheus) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..10 {
        send(&client).await?;
    }
    let alerts = wait::until("every alert to be evaluated", DEADLINE, async || {
        let alerts = prometheus.alerts().await?;
        ensure!(!alerts.is_empty(), "no alerts");
        for alert in &alerts {
            ensure!(alert["health"] == "ok", "{alert}");
        }
        Ok(alerts)
    })
    .await?;
    for alert in alerts {
        ensure!(alert["state"] != "firing", "{alert}");
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_that_stops_makes_its_alert_pend() -> Result<()> {
    let (mut fleet, _stack, prometheus) = start().await?;
    fleet.peer(1)?.stop().await;
    wait::until("the alert", DEADLINE, async || {
        let alerts = prometheus.alerts().await?;
        let alert = alerts.iter().find(|alert| alert["name"] == "MixedVersionPeerOutOfRotation");
        ensure!(alert.is_some_and(|alert| alert["state"] == "pending"), "{alert:?}");
        anyhow::Ok(())
    })
    .await
}
