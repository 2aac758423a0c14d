//! Whether deleted namespaces have gone, and what is left of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::manifests::NAMESPACES;
use harness::site::Site;
use harness::wait;
use serde_json::Value;
use wire::client::Client;

/// How long namespaces may take to go, including the restart of a server.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Waits until the namespaces have gone.
pub async fn gone(admin: &Client, names: &[String]) -> Result<()> {
    for name in names {
        wait::until("the end of a namespace", DEADLINE, async || {
            let answer = admin.get(&format!("{NAMESPACES}/{name}")).await?;
            let conditions = || answer.json().ok()?.pointer("/status/conditions").cloned();
            let conditions = conditions().unwrap_or(Value::Null);
            ensure!(answer.status == 404, "{name} is {}: {conditions}", answer.status);
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Returns the keys in etcd of these namespaces and of the objects in them.
pub async fn left(site: &Site, names: &[String]) -> Result<Vec<String>> {
    let mut keys = site.plane.etcd().keys().await?;
    keys.retain(|key| key.split('/').any(|part| names.iter().any(|name| name == part)));
    Ok(keys)
}
