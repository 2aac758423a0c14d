//! Envoys that get everything over ADS: the first map, changes, refusals, companions that restart or
//! are several, and clients that may not.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::ads::{self, AdsCompanion, client, is_served};
use harness::envoy::{Envoy, MAP_GENERATION};
use harness::fleet::Fleet;
use harness::manifests::POLICIES;
use harness::promise;
use harness::simulated::{FILTER, Simulated, tls};
use harness::wait;
use pki::Pki;
use serde_json::{Value, json};
use wire::client::Client;

mod again;
mod golden;
mod keys;
mod limits;
mod metadata;
mod refusals;
mod replacement;
mod twin;

/// The time that the project promises from a change on a peer to the route in Envoy.
const PROMISE: Duration = Duration::from_secs(2);

const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until Envoy has a map with a new type of the second peer, and serves it. A map without the
/// type can come before, such as the one with the storage versions of the peers; the type is served
/// then as well, because Envoy asks all of them.
async fn learns(fleet: &Fleet, envoy: &Envoy, client: &Client, group: &str) -> Result<Duration> {
    let before = envoy.stat(MAP_GENERATION).await?;
    fleet.peers[1].add_crd(Crd::new(group, "Widget"))?;
    let changed = Instant::now();
    let path = format!("/apis/{group}/v1/widgets");
    wait::until("the type to be served by the map", DEADLINE, async || {
        ensure!(envoy.stat(MAP_GENERATION).await? != before, "no new map");
        let filters = envoy.admin("/config_dump?resource=ecds_filters").await?;
        ensure!(filters.contains(group), "{group} is not in the new map");
        for _ in 0..4 {
            let found = client.get(&path).await?;
            ensure!(found.status == 200, "{}", found.status);
        }
        anyhow::Ok(())
    })
    .await?;
    Ok(changed.elapsed())
}

#[tokio::test]
async fn the_first_map_and_every_change_reach_an_envoy() -> Result<()> {
    let (mut fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let client = client(&fleet, &envoy).await?;
    is_served(&client).await?;
    let before = filter_version(&companion).await?;
    let took = learns(&fleet, &envoy, &client, "one.example.com").await?;
    promise::ensure_kept("the type was routed", PROMISE, took)?;
    assert_ne!(filter_version(&companion).await?, before);
    companion.wait_for_envoys(1).await?;

    // A peer leaves and comes back.
    fleet.peer(1)?.set_ready(false);
    wait::until("the type to be unavailable", DEADLINE, async || {
        let answer = client.get(POLICIES).await?;
        ensure!(answer.status == 503, "{answer:?}");
        anyhow::Ok(())
    })
    .await?;
    companion.wait_for_envoys(1).await?;
    fleet.peer(1)?.set_ready(true);
    wait::until("the type to be served again", DEADLINE, async || is_served(&client).await).await
}

async fn filter_version(companion: &AdsCompanion) -> Result<Value> {
    Ok(companion.envoys().await?["versions"]["filter"].clone())
}

#[tokio::test]
async fn an_envoy_that_speaks_the_older_form_gets_the_same() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let options = site.envoy("envoy-1", [companion.port; 2])?.replacing("DELTA_GRPC", "GRPC")?;
    let envoy = Envoy::start(options).await?;
    companion.wait_for_envoys(1).await?;
    assert_eq!(companion.envoys().await?["envoys"][0]["protocol"], "state of the world");
    let client = client(&fleet, &envoy).await?;
    is_served(&client).await?;
    learns(&fleet, &envoy, &client, "one.example.com").await?;
    companion.wait_for_envoys(1).await
}

#[tokio::test]
async fn an_envoy_that_refuses_resources_keeps_the_last_ones_and_says_why() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let client = client(&fleet, &envoy).await?;

    let good = std::fs::read_to_string(companion.companion.config_file())?;
    let mut bad: Value = serde_json::from_str(&good)?;
    bad["envoy"]["filterModule"] = "/nowhere/filter.wasm".into();
    companion.companion.write_config(&bad.to_string())?;
    wait::until("Envoy to refuse the clusters", DEADLINE, async || {
        let refusal = companion.envoys().await?["envoys"][0]["lastRefusal"].clone();
        ensure!(refusal["type"] == "clusters", "{refusal}");
        let reason = refusal["reason"].as_str().context("no reason")?;
        ensure!(reason.contains("/nowhere/filter-at-server.wasm"), "{reason}");
        anyhow::Ok(())
    })
    .await?;
    is_served(&client).await?;

    companion.companion.write_config(&good)?;
    companion.wait_for_envoys(1).await?;
    is_served(&client).await?;
    learns(&fleet, &envoy, &client, "later.example.com").await.map(|_| ())
}

#[tokio::test]
async fn envoy_serves_while_its_companion_is_gone_and_goes_on_when_it_is_back() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let client = client(&fleet, &envoy).await?;
    companion.companion.kill_9();
    is_served(&client).await?;
    fleet.peers[1].add_crd(Crd::new("meanwhile.example.com", "Widget"))?;
    let removed = "cluster_manager.cluster_removed";
    let before = envoy.stat(removed).await?;
    companion.companion.start_again().await?;
    companion.companion.wait_ready().await?;
    companion.wait_for_envoys(1).await?;
    is_served(&client).await?;
    assert_eq!(envoy.stat(removed).await?, before, "no cluster goes because of a restart");
    let state = client.get("/apis/meanwhile.example.com/v1/widgets").await?;
    assert_eq!(state.status, 200);
    Ok(())
}

#[tokio::test]
async fn two_companions_give_the_same_and_an_envoy_moves_between_them() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companions =
        [site.companion("companion-1").await?, site.companion("companion-2").await?];
    let ports = [companions[0].port, companions[1].port];
    let envoy = Envoy::start(site.envoy("envoy-1", ports)?).await?;
    let client = client(&fleet, &envoy).await?;
    let same = async |companions: &[AdsCompanion; 2]| {
        wait::until("the companions to say the same", DEADLINE, async || {
            let [one, other] = [companions[0].envoys().await?, companions[1].envoys().await?];
            ensure!(one["versions"] == other["versions"], "{one:#} {other:#}");
            let served = [&one, &other].map(|view| view["envoys"].as_array().map_or(0, Vec::len));
            ensure!(served[0] + served[1] == 1, "{served:?}");
            let envoys = [&one["envoys"], &other["envoys"]];
            let envoy = envoys.into_iter().find_map(|all| all.get(0)).context("no Envoy")?;
            ensure!(envoy["versions"] == one["versions"], "{one:#} {other:#}");
            anyhow::Ok(usize::from(served[1] == 1))
        })
        .await
    };
    let refused = "cluster_manager.cds.update_rejected";
    for round in 0..4 {
        let serving = same(&companions).await?;
        is_served(&client).await?;
        // It is gone while something changes.
        companions[serving].companion.kill_9();
        learns(&fleet, &envoy, &client, &format!("round{round}.example.com")).await?;
        companions[serving].companion.start_again().await?;
        companions[serving].companion.wait_ready().await?;
    }
    same(&companions).await?;
    is_served(&client).await?;
    assert_eq!(envoy.stat(refused).await?.unwrap_or_default(), 0);
    Ok(())
}

#[tokio::test]
async fn a_client_without_an_allowed_certificate_gets_nothing() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let stranger = site.pki().for_any_purpose("stranger", "stranger")?;
    let error = Simulated::connect(companion.port, tls(site.pki(), &stranger)?, "a").await;
    let error = format!("{:#}", error.err().context("a stranger was served")?);
    assert!(error.contains("no allowed name"), "{error}");
    // The right name, of another authority.
    let other = Pki::create_as(fleet.folder().join("other-pki"), "other")?;
    let forged = other.for_any_purpose("envoy", "envoy")?;
    let mut refused = Simulated::connect(companion.port, tls(site.pki(), &forged)?, "a").await;
    if let Ok(simulated) = &mut refused {
        // TLS 1.3 tells a client only after the handshake.
        assert!(simulated.response().await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_not_allowed_any_more_loses_its_stream() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let config = std::fs::read_to_string(companion.companion.config_file())?;
    let good: Value = serde_json::from_str(&config)?;
    let other = Pki::create_as(fleet.folder().join("other-pki"), "other")?;
    let tls = tls(site.pki(), &site.envoy_certificate())?;
    for (field, value, reason) in [
        ("allowedClientNames", json!(["another"]), "no allowed name"),
        ("clientCaFile", json!(other.ca_file()), "cannot be verified"),
    ] {
        let mut client = wait::until("the client to be allowed", DEADLINE, async || {
            Simulated::connect(companion.port, Arc::clone(&tls), "a").await
        })
        .await?;
        client.next_map(None).await?;
        let mut config = good.clone();
        config["ads"][field] = value;
        companion.companion.write_config(&config.to_string())?;
        let ended = async {
            loop {
                if let Err(error) = client.response().await {
                    return format!("{error:#}");
                }
            }
        };
        let error = tokio::time::timeout(DEADLINE, ended).await.context("the stream goes on")?;
        ensure!(error.contains("no longer allowed") && error.contains(reason), "{error}");
        companion.companion.write_config(&good.to_string())?;
    }
    Ok(())
}

#[tokio::test]
async fn clients_that_do_not_read_or_refuse_everything_hold_nobody_up() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let config = tls(site.pki(), &site.envoy_certificate())?;
    let mut silent = Vec::new();
    for number in 0..100 {
        let name = format!("silent-{number}");
        silent.push(Simulated::connect(companion.port, Arc::clone(&config), &name).await?);
    }
    let mut refusing = Simulated::connect(companion.port, Arc::clone(&config), "refusing").await?;
    let refusing = tokio::spawn(async move {
        let mut count = 0;
        while let Ok(response) = refusing.response().await {
            count += 1;
            if refusing.refuse(response, "never").await.is_err() {
                break;
            }
        }
        count
    });
    let mut good = Simulated::connect(companion.port, config, "good").await?;
    let mut last = good.next_map(None).await?;
    for round in 0..3 {
        fleet.peers[0].add_crd(Crd::new(&format!("round{round}.example.com"), "Widget"))?;
        let changed = Instant::now();
        let next = good.next_map(Some(&last));
        last = tokio::time::timeout(DEADLINE, next).await.context("no new map")??;
        let took = changed.elapsed();
        promise::ensure_kept("the change arrived", PROMISE, took)?;
    }
    assert!(good.has.contains_key(FILTER));
    drop(companion);
    let count: u32 = refusing.await?;
    ensure!(count < 20, "the same was sent {count} times to a client that refuses it");
    Ok(())
}
