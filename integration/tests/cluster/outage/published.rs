//! The companion, and the files through which it speaks to Envoy.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::load::Load;
use harness::manifests::CONFIG_MAPS;
use harness::site::Site;
use harness::skew::{NEWER, OLD, OLDER, only_in};
use harness::wait;
use wire::client::Http;

use super::probes::{is_served, settled};

/// The companion looks after its files at least this often, and Envoy reads them when they change.
const DEADLINE: Duration = Duration::from_secs(30);

/// Envoy's counter of refused configurations of the filter.
const REFUSED: &str = "extension_config_discovery.http_filter.mixed-version-proxy.config_fail";

/// Without a companion, routing goes on unchanged; also when a server that is
/// not the only one of anything is killed meanwhile.
pub async fn companion_dies(site: &mut Site, load: &mut Load) -> Result<()> {
    site.stack.companion.kill_9();
    let generation = site.stack.wait_for_last_map().await?;
    works(site).await?;
    let killed = Instant::now();
    site.plane.server_mut(OLD)?.kill_9();
    settled(load.journal(), killed, "success", is_served).await?;
    works(site).await?;
    site.plane.server_mut(OLD)?.start_again().await?;
    works(site).await?;
    ensure!(site.stack.generation().await? == generation, "the map has changed");
    site.stack.companion.start_again().await?;
    site.stack.companion.wait_ready().await
}

/// A map file is damaged in every way: Envoy keeps the last good map, and
/// the companion repairs the file. The longest time that this took.
pub async fn is_repaired(site: &mut Site) -> Result<Duration> {
    let file = site.stack.options().published().join("ecds.json");
    let good = fs::read(&file)?;
    let half = good.get(..good.len() / 2).unwrap_or_default();
    let mut longest = Duration::ZERO;
    for damaged in [&b"{ this is not JSON"[..], half, b""] {
        let generation = site.stack.generation().await?;
        let refused = site.stack.envoy.stat(REFUSED).await?.unwrap_or_default();
        let mut started = Instant::now();
        // The companion may repair the file before Envoy reads it: then nothing is proved yet.
        wait::until("Envoy to refuse a damaged file", DEADLINE, async || {
            // By rename, or Envoy would not even look at it.
            let new = file.with_extension("damaged");
            fs::write(&new, damaged)?;
            fs::rename(&new, &file)?;
            started = Instant::now();
            works(site).await?;
            let refusals = site.stack.envoy.stat(REFUSED).await?.unwrap_or_default();
            ensure!(refusals > refused, "{refusals} refusals");
            anyhow::Ok(())
        })
        .await?;
        wait::until("the repair", DEADLINE, async || {
            let now = fs::read(&file)?;
            serde_json::from_slice::<serde_json::Value>(&now)?;
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        longest = longest.max(started.elapsed());
        works(site).await?;
        let now = site.stack.generation().await?;
        ensure!(now >= generation, "generation {now} after {generation}");
    }
    Ok(longest)
}

/// Skewed and common requests, over several connections.
async fn works(site: &Site) -> Result<()> {
    let skewed = only_in(NEWER, OLDER)?;
    for http in [Http::One, Http::Two] {
        let client = site.client(http)?;
        for _ in 0..20 {
            client.get(&skewed).await?.ok()?;
            client.get(CONFIG_MAPS).await?.ok()?;
        }
    }
    Ok(())
}
