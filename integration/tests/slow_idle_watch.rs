//! Envoy neither ends nor forgets a watch without events. The test takes a quarter
//! of an hour, so it has its own target (`make test-slow`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ServerOptions, User};
use harness::manifests::{CONFIG_MAPS, config_map};
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use tokio::task::JoinSet;
use wire::client::{Client, Http};

/// Longer than each time limit that Envoy has by default (5 minutes for a
/// stream, an hour for a connection counts from the last stream), and than the
/// time after which the shipped configuration drains a connection.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// For the event that ends the quiet.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_watch_survives_a_quarter_of_an_hour_without_an_event() -> Result<()> {
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.into()).await?;
    let url = site.stack.url();
    let mut watches = JoinSet::new();
    for user in [User::Admin, User::KubernetesAdmin] {
        for http in [Http::One, Http::Two] {
            let client = site.plane.client(&url, user, http)?;
            watches.spawn(watch(client, format!("{user:?} over {http:?}")));
        }
    }
    tokio::time::sleep(QUIET).await;
    if let Some(ended) = watches.try_join_next() {
        ended??;
        anyhow::bail!("a watch ended in the quiet");
    }
    let count = watches.len();
    site.client(Http::Two)?.post(CONFIG_MAPS, &config_map("after-the-quiet")).await?.ok()?;
    let all = async {
        while let Some(ended) = watches.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, all).await.context("some watch is deaf")??;
    ensure!(count == 4, "{count} watches");
    Ok(())
}

/// Watches up to the first event, which must be the one that ends the quiet. A
/// namespace in which nothing is made by controllers, and without bookmarks.
async fn watch(client: Client, who: String) -> Result<()> {
    let path = format!(
        "{CONFIG_MAPS}?watch=true&timeoutSeconds=3600&fieldSelector=metadata.name%3Dafter-the-quiet"
    );
    let mut response = client.stream(&path).await?.error_for_status()?;
    let chunk = response.chunk().await.with_context(|| who.clone())?;
    let chunk = chunk.with_context(|| format!("{who}: it ended"))?;
    let event = String::from_utf8_lossy(&chunk).into_owned();
    ensure!(event.contains("after-the-quiet"), "{who}: {event}");
    Ok(())
}
