//! Envoys in front of many control planes that start without a companion.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::companion::Companion;
use harness::envoy::Envoy;
use harness::shared_ingress::{LISTENER, SharedIngress};
use harness::tap::has;
use harness::wait;
use serde_json::{Value, json};
use wire::client::Http;

use super::scene::{DEADLINE, Plane, Scene, serves, stays_as_it_is};
use super::types::widgets;

/// Waits until a companion or a mirror has a client with everything that these versions say. It may
/// be a mirror or an Envoy.
async fn has_client(server: &Companion, is_mirror: bool) -> Result<Value> {
    wait::until("a client to have everything", DEADLINE, async || {
        let view = server.json("/v1/envoys").await?;
        let all = view["envoys"].as_array().context("no clients")?;
        let found = all.iter().find(|client| client["mirror"].is_boolean() == is_mirror);
        let found = found.context("no client")?;
        // A client of some control planes has versions of its own.
        let expected = found.get("expectedVersions").unwrap_or(&view["versions"]);
        ensure!(found["versions"] == *expected, "{view:#}");
        anyhow::Ok(expected.clone())
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
    // The companion must not send another map just before it is killed.
    for plane in &scene.planes {
        stays_as_it_is(&scene.companion, plane).await?;
    }
    let port = scene.companion.port;
    let mut mirror = scene.ingress.mirror("envoy-2", port, &json!({})).await?;
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

/// Starts an Envoy that asks for the first of two control planes. It presents the mirror's certificate.
async fn start_with_one(ingress: &SharedIngress, plane: &Plane, port: u16) -> Result<Envoy> {
    let envoy = Envoy::start(ingress.envoy_for(&[plane.name()], "envoy", port)?).await?;
    let path = widgets(plane.name());
    wait::until("its control plane to be served", DEADLINE, async || {
        let port = envoy.listener_port(LISTENER).await?;
        serves(&plane.client(port, false, Http::Two)?, &path).await
    })
    .await?;
    Ok(envoy)
}

#[tokio::test]
async fn a_mirror_keeps_the_control_planes_of_its_envoy_alone() -> Result<()> {
    const ENVOY: &str = "envoy-envoy";
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path().join("ingress"))?;
    let (own, other) =
        &tokio::try_join!(Plane::start("zebra", false), Plane::start("quokka", false))?;
    ingress.add(&own.config)?;
    ingress.add(&other.config)?;
    let mut companion = ingress.companion("companion-1").await?;
    ingress.envoy_certificate("envoy")?;
    let some = json!({ "controlPlanes": [own.name()] });
    let mut mirror = ingress.mirror(ENVOY, companion.port, &some).await?;
    mirror.wait_ready().await?;
    has_client(&companion.companion, true).await?;
    let file = ingress.mirrored(ENVOY)?;
    assert!(has(&file, own.name()) && !has(&file, other.name()));

    companion.companion.kill_9();
    let envoy = start_with_one(&ingress, own, companion.port).await?;
    let versions = has_client(&mirror, false).await?;
    let found = mirror.json("/v1/envoys").await?;
    assert_eq!(versions, found["versions"], "as the companion sent them");
    assert_eq!(found["envoys"][0]["controlPlanes"], json!([own.name()]));

    companion.companion.start_again().await?;
    companion.companion.wait_ready().await?;
    has_client(&companion.companion, false).await?;
    drop(envoy);
    Ok(())
}
