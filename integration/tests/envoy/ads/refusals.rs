//! A map that Envoy refuses, and a companion that starts again with it.

use std::fs;

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::ads::{self, AdsCompanion, client, is_served};
use harness::wait;
use serde_json::Value;

use super::DEADLINE;
use crate::skew::doctor;

/// Waits until the companion shows that an Envoy refused its filter.
async fn refuses_the_filter(companion: &AdsCompanion) -> Result<()> {
    wait::until("Envoy to refuse the filter", DEADLINE, async || {
        let refusal = companion.envoys().await?["envoys"][0]["lastRefusal"].clone();
        ensure!(refusal["type"] == "filter", "{refusal}");
        let reason = refusal["reason"].as_str().context("no reason")?;
        ensure!(reason.contains("half/filter.wasm"), "{reason}");
        anyhow::Ok(())
    })
    .await
}

/// Envoy takes a filter that it refused for known when it gets the same bytes again. It must not, or
/// the companion removes clusters that the map in use still names.
#[tokio::test]
async fn a_refused_map_is_refused_again_after_a_restart_and_costs_no_cluster() -> Result<()> {
    let (mut fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion-1").await?;
    let file = companion.companion.config_file();
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    config["envoy"]["clusterRemovalDelay"] = "1s".into();
    let good = config.to_string();
    companion.companion.write_config(&good)?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let client = client(&fleet, &envoy).await?;
    is_served(&client).await?;

    // The clusters find their module, the filter does not.
    let module = config["envoy"]["filterModule"].as_str().context("no module")?;
    let half = fleet.folder().join("half");
    fs::create_dir(&half)?;
    let at_server = "filter-at-server.wasm";
    fs::copy(std::path::Path::new(module).with_file_name(at_server), half.join(at_server))?;
    config["envoy"]["filterModule"] = half.join("filter.wasm").to_str().into();
    companion.companion.write_config(&config.to_string())?;
    refuses_the_filter(&companion).await?;
    doctor::finds(&companion.companion, &["envoy-behind"]).await?;

    // The next map does not name the cluster of the second peer, which the map in use does.
    fleet.peer(1)?.set_ready(false);
    let own = "kube-apiserver_cp-2";
    wait::until("the map to change", DEADLINE, async || {
        let map = companion.companion.get("/v1/map").await?.text();
        ensure!(!map.contains(own), "{own} is in the map");
        anyhow::Ok(())
    })
    .await?;
    let removed = "cluster_manager.cluster_removed";
    let before = envoy.stat(removed).await?;
    companion.companion.kill_9();
    companion.companion.start_again().await?;
    companion.companion.wait_ready().await?;
    refuses_the_filter(&companion).await?;
    // The companion would remove the cluster by now, if it believed that no map names it.
    wait::until("the cluster to expire", DEADLINE, async || {
        let view = companion.envoys().await?;
        let has = &view["envoys"][0]["versions"];
        ensure!(view["versions"]["endpoints"] != has["endpoints"], "{view:#}");
        anyhow::Ok(())
    })
    .await?;
    fleet.peers[0].add_crd(Crd::new("later.example.com", "Widget"))?;
    refuses_the_filter(&companion).await?;
    assert_eq!(envoy.stat(removed).await?, before, "a cluster went that the map in use names");
    is_served(&client).await?;

    companion.companion.write_config(&good)?;
    fleet.peer(1)?.set_ready(true);
    // The companion may read its configuration before it asks the peer, and Envoy accepts that map.
    wait::until("the map to have the peer again", DEADLINE, async || {
        let map = companion.companion.get("/v1/map").await?.text();
        ensure!(map.contains(own), "{own} is not in the map");
        anyhow::Ok(())
    })
    .await?;
    companion.wait_for_envoys(1).await?;
    is_served(&client).await?;
    assert_eq!(client.get("/apis/later.example.com/v1/widgets").await?.status, 200);
    Ok(())
}
