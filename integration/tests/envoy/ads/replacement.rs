//! What replaces every cluster: another authority of the peers, and another module. Envoy has their
//! endpoints already, and gets them again at once, so that no cluster waits for them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::ads::{self, AdsCompanion, client, is_served};
use pki::Pki;
use serde_json::{Value, json};

use super::learns;

/// Envoy waits as long for the endpoints of a cluster, unless it gets them.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Writes a configuration, and returns how long it takes until Envoy has everything of it.
async fn applied(companion: &AdsCompanion, config: &Value) -> Result<Duration> {
    let before = companion.envoys().await?["versions"]["clusters"].clone();
    companion.companion.write_config(&config.to_string())?;
    let changed = Instant::now();
    harness::wait::until("the clusters to change", super::DEADLINE, async || {
        let now = companion.envoys().await?["versions"]["clusters"].clone();
        ensure!(now != before, "{now}");
        anyhow::Ok(())
    })
    .await?;
    companion.wait_for_envoys(1).await?;
    Ok(changed.elapsed())
}

#[tokio::test]
async fn a_new_authority_and_a_new_module_are_used_without_waiting() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let client = client(&fleet, &envoy).await?;
    let text = fs::read_to_string(companion.companion.config_file())?;
    let mut config: Value = serde_json::from_str(&text)?;

    let ca = config["peerTls"]["caFile"].as_str().context("no caFile")?.to_owned();
    let other = Pki::create_as(fleet.folder().join("other"), "other")?;
    let bundle = fleet.folder().join("bundle.crt");
    fs::write(&bundle, [fs::read(&ca)?, fs::read(other.ca_file())?].concat())?;
    config["peerTls"]["caFile"] = json!(bundle);
    let authority = applied(&companion, &config).await?;
    is_served(&client).await?;

    let module = config["envoy"]["filterModule"].as_str().context("no module")?.to_owned();
    let folder = fleet.folder().join("next");
    fs::create_dir(&folder)?;
    for name in ["filter.wasm", "filter-at-server.wasm"] {
        fs::copy(Path::new(&module).with_file_name(name), folder.join(name))?;
    }
    config["envoy"]["filterModule"] = json!(folder.join("filter.wasm"));
    let module = applied(&companion, &config).await?;
    is_served(&client).await?;
    println!("a new authority: {authority:?}; a new module: {module:?}");
    ensure!(authority < FETCH_TIMEOUT, "a new authority took {authority:?}");
    ensure!(module < FETCH_TIMEOUT, "a new module took {module:?}");
    learns(&fleet, &envoy, &client, "later.example.com").await?;
    Ok(())
}
