//! The metrics of Kubernetes that `docs/operations/metrics.md` compares ours with exist
//! (`make test-slow`).

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use harness::artifacts::integration_folder;
use harness::control_plane::{ControlPlane, User};
use harness::skew::NEWER;
use wire::client::Http;

/// Those without a sample as long as a server forwards nothing, and reads no file of authorization.
const WITHOUT_SAMPLES: [&str; 4] = [
    "apiserver_authorization_config_controller_automatic_reloads_total",
    "apiserver_peer_discovery_sync_errors_total",
    "apiserver_peer_proxy_errors_total",
    "apiserver_rerouted_request_total",
];

/// Returns the names in the first column of the table.
fn documented() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(integration_folder().join("../docs/operations/metrics.md"))?;
    let table = text.split("\n## What Kubernetes calls it\n").nth(1).context("no table")?;
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = cells
        .flat_map(|cell| cell.split(", "))
        .filter_map(|name| name.trim_matches('`').split('{').next().map(str::to_owned));
    Ok(names.collect())
}

#[tokio::test]
async fn an_api_server_exposes_the_metrics_that_ours_are_compared_with() -> Result<()> {
    let plane = ControlPlane::start(&[NEWER]).await?;
    let server = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    let text = server.get("/metrics").await?.ok()?.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let exposed: BTreeSet<&str> = types.collect();
    let documented = documented()?;
    let missing = documented.iter().map(String::as_str).filter(|name| !exposed.contains(name));
    assert_eq!(missing.collect::<Vec<_>>(), WITHOUT_SAMPLES);
    Ok(())
}
