//! A mirror that could not follow its companion has older resources than its Envoy.

use std::fs;

use anyhow::{Context, Result, ensure};
use harness::ads::{self, AdsCompanion, client, is_served};
use harness::companion::Companion;
use harness::envoy::Envoy;
use harness::manifests::POLICIES;
use harness::wait;
use serde_json::Value;
use wire::client::Client;

use super::{DEADLINE, follows, serves};

/// Removes the peer that alone serves a type from the companion's configuration. Returns the
/// configuration with it.
fn remove_peer(companion: &Companion) -> Result<String> {
    let full = fs::read_to_string(companion.config_file())?;
    let mut config: Value = serde_json::from_str(&full)?;
    config["peers"]["static"].as_array_mut().context("no list of peers")?.truncate(1);
    companion.write_config(&config.to_string())?;
    Ok(full)
}

/// Waits until a request for the type that one peer serves has this status.
async fn is_answered(client: &Client, status: u16) -> Result<()> {
    wait::until("another status", DEADLINE, async || {
        let answer = client.get(POLICIES).await?;
        ensure!(answer.status == status, "{}", answer.status);
        anyhow::Ok(())
    })
    .await
}

/// How many times the mirror gave an Envoy nothing.
async fn refusals(mirror: &Companion) -> Result<u64> {
    mirror.metric("ads_clients_refused_total{reason=\"unconfirmed\"}").await
}

async fn keeps_what_it_has(form: &str) -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let AdsCompanion { companion, port } = site.companion("companion-1").await?;
    let full = remove_peer(&companion)?;
    let mut mirror = site.mirror("envoy-1", [port; 2]).await?;
    let options = site.envoy("envoy-1", [port; 2])?.replacing("DELTA_GRPC", form)?;
    let envoy = Envoy::start(options).await?;
    let old = client(&fleet, &envoy).await?;
    is_answered(&old, 404).await?;
    let mut companion = AdsCompanion { companion, port };
    follows(&companion, &mut mirror).await?;

    mirror.kill_9();
    companion.companion.write_config(&full)?;
    is_answered(&old, 200).await?;
    serves(&companion.companion, 1).await?;
    companion.companion.kill_9();
    mirror.start_again().await?;
    wait::until("Envoy to ask the mirror", DEADLINE, async || {
        is_served(&old).await?;
        let refusals = refusals(&mirror).await?;
        ensure!(refusals >= 3, "{refusals}");
        anyhow::Ok(())
    })
    .await?;
    is_served(&old).await?;
    let log = fs::read_to_string(site.mirror_log("envoy-1"))?;
    let told = log.matches("keeps resources that differ from this mirror's").count();
    assert_eq!(told, 1, "the log says it once: {log}");

    // What the mirror has is older, and is better than nothing.
    let envoy = envoy.restart().await?;
    let new = client(&fleet, &envoy).await?;
    is_answered(&new, 404).await?;
    serves(&mirror, 1).await?;
    companion.companion.start_again().await?;
    is_answered(&new, 200).await
}

#[tokio::test]
async fn an_envoy_that_runs_gets_nothing_older() -> Result<()> {
    keeps_what_it_has("DELTA_GRPC").await
}

#[tokio::test]
async fn an_envoy_that_runs_and_speaks_the_older_form_gets_nothing_older() -> Result<()> {
    keeps_what_it_has("GRPC").await
}
