//! The harness itself: what the other tests here assume about real control
//! planes.

use std::time::Duration;

use anyhow::Result;
use harness::control_plane::{ControlPlane, ControllerManagerOptions, User};
use harness::skew::{NEWER, OLDER, only_in};
use harness::wait;
use serde_json::json;
use wire::client::Http;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_server_is_upgraded_in_place_and_the_types_follow() -> Result<()> {
    let skewed = only_in(NEWER, OLDER)?;
    let (_, resource) = skewed.rsplit_once('/').unwrap_or_default();
    let mut plane = ControlPlane::start(&[OLDER, NEWER]).await?;
    let (old, new) = (plane.server(0)?.url(), plane.server(1)?.url());
    let to_old = plane.client(&old, User::Admin, Http::Two)?;
    let to_new = plane.client(&new, User::Admin, Http::Two)?;
    assert!(to_old.get(&skewed).await?.is_type_level_404());
    to_new.get(&skewed).await?.ok()?;

    plane.server_mut(0)?.restart_as(NEWER).await?;
    to_old.get(&skewed).await?.ok()?;
    plane.server_mut(0)?.kill_9();
    assert!(to_old.get(&skewed).await.is_err());
    plane.server_mut(0)?.start_again().await?;
    to_old.get(&skewed).await?.ok()?;

    let kubectl = plane.kubectl(NEWER, &old, User::Admin)?;
    assert!(kubectl.run(&["api-resources"]).await?.ok()?.contains(resource));
    let plain = plane.kubectl(NEWER, &old, User::Plain)?;
    assert!(plain.run(&["get", "pods"]).await?.stderr.contains("Forbidden"));
    Ok(())
}

#[tokio::test]
async fn the_controller_manager_collects_garbage() -> Result<()> {
    let plane = ControlPlane::start(&[NEWER]).await?;
    let url = plane.server(0)?.url();
    let admin = plane.client(&url, User::Admin, Http::Two)?;
    let options = ControllerManagerOptions {
        version: NEWER,
        url,
        user: User::ControllerManager,
        controllers: vec!["garbage-collector-controller".to_owned()],
        arguments: Vec::new(),
    };
    let mut manager = plane.controller_manager(&options).await?;
    let orphan = json!({ "metadata": {
        "name": "orphan",
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "gone",
            "uid": "00000000-0000-4000-8000-000000000000",
        }],
    } });
    admin.post(MAPS, &orphan).await?.ok()?;
    wait::until("the orphan to be collected", Duration::from_secs(60), async || {
        manager.process().ensure_running()?;
        let status = admin.get(&format!("{MAPS}/orphan")).await?.status;
        anyhow::ensure!(status == 404, "it is {status}");
        Ok(())
    })
    .await
}
