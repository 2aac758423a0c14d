//! An Envoy that speaks the older form of ADS, which always sends everything, and a companion that
//! starts again and does not know all control planes yet.

use anyhow::{Context, Result, ensure};
use harness::envoy::Envoy;
use harness::wait;
use serde_json::Value;
use wire::client::Http;

use super::scene::{DEADLINE, Scene, serves};
use super::types::widgets;

#[tokio::test]
async fn a_companion_that_starts_takes_nothing_from_an_envoy_of_the_older_form() -> Result<()> {
    let mut scene = Scene::start(&["a", "b"]).await?;
    let options = scene.ingress.envoy("envoy-2", scene.companion.port)?;
    scene.envoy = Envoy::start(options.replacing("DELTA_GRPC", "GRPC")?).await?;
    for plane in &scene.planes {
        scene.is_served(plane).await?;
    }
    let removed = "cluster_manager.cluster_removed";
    let before = scene.envoy.stat(removed).await?;
    let chains = "listener_manager.listener_modified";
    let modified = scene.envoy.stat(chains).await?;

    // The servers of one cannot be reached when the companion starts again.
    for peer in &mut scene.planes.get_mut(1).context("no control plane")?.fleet.peers {
        peer.stop().await;
    }
    scene.companion.companion.kill_9();
    scene.companion.companion.start_again().await?;
    wait::until("Envoy to be back", DEADLINE, async || {
        let view = scene.companion.envoys().await?;
        let versions = view.pointer("/versions/clusters").context("no map")?;
        let envoys = view.get("envoys").and_then(Value::as_array).context("no Envoys")?;
        ensure!(envoys.len() == 1 && versions.is_string(), "{view:#}");
        anyhow::Ok(())
    })
    .await?;
    let [a, b] = scene.planes.as_slice() else { anyhow::bail!("two control planes") };
    scene.is_served(a).await?;
    let client = b.client(scene.port().await?, false, Http::Two)?;
    let unreachable = client.get("/version").await?;
    ensure!(unreachable.status == 503, "{unreachable:?}");
    ensure!(scene.envoy.stat(removed).await? == before, "a cluster is gone");
    ensure!(scene.envoy.stat(chains).await? == modified, "a chain is gone");

    for peer in &mut scene.planes.get_mut(1).context("no control plane")?.fleet.peers {
        peer.start_again().await?;
    }
    wait::until("the other one to be served again", DEADLINE, async || {
        serves(&client, &widgets("b")).await
    })
    .await?;
    scene.companion.wait_for_envoys(1).await?;
    ensure!(scene.envoy.stat(removed).await? == before, "a cluster is gone");
    Ok(())
}
