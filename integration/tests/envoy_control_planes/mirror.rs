//! An Envoy in front of many control planes that starts without a companion.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::companion::Companion;
use harness::envoy::Envoy;
use harness::wait;
use serde_json::Value;
use wire::client::Http;

use super::scene::{DEADLINE, Plane, Scene, serves};
use super::types::widgets;

/// Waits until a companion or a mirror has a client with everything that these versions say. It may
/// be a mirror or an Envoy.
async fn has_client(server: &Companion, is_mirror: bool) -> Result<Value> {
    wait::until("a client to have everything", DEADLINE, async || {
        let view = server.json("/v1/envoys").await?;
        let all = view["envoys"].as_array().context("no clients")?;
        let found = all.iter().find(|client| client["mirror"].is_boolean() == is_mirror);
        ensure!(found.context("no client")?["versions"] == view["versions"], "{view:#}");
        anyhow::Ok(view["versions"].clone())
    })
    .await
}

/// Waits until a control plane is served, and fails if it serves the type of another one.
async fn are_served_apart(scene: &Scene) -> Result<()> {
    let all = &scene.planes;
    for own in all {
        scene.is_served(own).await?;
        let client = own.client(scene.port().await?, false, Http::Two)?;
        for other in all.iter().filter(|other| other.name() != own.name()) {
            let status = client.get(&widgets(other.name())).await?.status;
            ensure!(status == 404, "{} answers for {}: {status}", own.name(), other.name());
        }
    }
    Ok(())
}

async fn is_new(scene: &Scene, plane: &Plane) -> Result<()> {
    let peer = plane.fleet.peers.first().context("no peer")?;
    peer.add_crd(Crd::new("new.example.com", "Widget"))?;
    wait::until("a new type to be served", DEADLINE, async || {
        let client = plane.client(scene.port().await?, false, Http::Two)?;
        serves(&client, "/apis/new.example.com/v1/widgets").await
    })
    .await
}

#[tokio::test]
async fn all_control_planes_are_served_by_a_mirror_until_a_companion_is_back() -> Result<()> {
    let mut scene = Scene::start(&["a", "b"]).await?;
    let port = scene.companion.port;
    let mut mirror = scene.ingress.mirror("envoy-2", port).await?;
    mirror.wait_ready().await?;
    let versions = has_client(&scene.companion.companion, true).await?;
    scene.companion.companion.kill_9();
    scene.envoy = Envoy::start(scene.ingress.envoy("envoy-2", port)?).await?;
    are_served_apart(&scene).await?;
    assert_eq!(has_client(&mirror, false).await?, versions, "the same as at the companion");

    scene.companion.companion.start_again().await?;
    scene.companion.companion.wait_ready().await?;
    has_client(&scene.companion.companion, false).await?;
    are_served_apart(&scene).await?;
    for plane in &scene.planes {
        is_new(&scene, plane).await?;
    }
    are_served_apart(&scene).await
}
