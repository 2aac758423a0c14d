//! Anonymous requests do not end the watches of clients with certificates.
//!
//! With the gate `UnauthenticatedHTTP2DOSMitigation` kube-apiserver closes an
//! HTTP/2 connection on which it answered an anonymous request. Envoy puts many
//! clients on one connection, so there are two kinds: certificate clients never
//! share one with others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::clusters::{DEFAULT, DEFAULT_TWIN};
use harness::control_plane::{ServerOptions, User};
use harness::manifests::{CONFIG_MAPS, config_map};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use tokio::task::JoinSet;
use wire::client::Http;

const WATCHES: usize = 50;

/// One a second.
const ANONYMOUS_REQUESTS: usize = 60;

const MITIGATION: &str = "--feature-gates=UnauthenticatedHTTP2DOSMitigation=true";

/// How long the last event may take to all watchers.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn anonymous_requests_end_no_watch_of_a_certificate_client() -> Result<()> {
    let mut entry = Entry::begin("cluster_watches");
    let server = |name, version| ServerOptions::new(name, version).argument(MITIGATION);
    let servers = vec![server("old", OLDER), server("new", NEWER)];
    let site = Site::start(servers).await?;
    let url = site.stack.url();

    for server in site.plane.servers() {
        let admin = site.plane.client(&server.url(), User::Admin, Http::Two)?;
        let metrics = admin.get("/metrics").await?.ok()?.text();
        ensure!(metrics.lines().any(says_that_the_gate_is_on), "{}: {metrics}", server.name());
    }

    let mut watches = JoinSet::new();
    for _ in 0..WATCHES {
        let client = site.plane.client(&url, User::KubernetesAdmin, Http::Two)?;
        let response = client
            .stream(&format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=1800"))
            .await?
            .error_for_status()?;
        watches.spawn(until_named(response, "the-last"));
    }
    let carried = site.landed().await?.remove(DEFAULT_TWIN).unwrap_or_default();
    let carrying = carried.values().filter(|&&watches| watches > 0).count();
    ensure!(carrying == site.plane.servers().len(), "not all servers carry watches: {carried:?}");

    let [before, before_of_twin] = closed_by_servers(&site).await?;
    let anonymous = site.plane.client(&url, User::Anonymous, Http::Two)?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..ANONYMOUS_REQUESTS {
        second.tick().await;
        let answer = anonymous.get("/api/v1/namespaces").await?;
        ensure!(answer.status == 403, "{}: {}", answer.status, answer.text());
        if let Some(ended) = watches.try_join_next() {
            ended??;
            anyhow::bail!("a watch ended");
        }
    }
    // The servers did close connections: those of clients without a certificate.
    let [after, after_of_twin] = closed_by_servers(&site).await?;
    let (closed, closed_of_twin) = (after - before, after_of_twin - before_of_twin);
    ensure!(closed > 0, "no connection was closed, though the gate is on");
    ensure!(closed_of_twin == 0, "{closed_of_twin} connections with certificate clients were");

    site.client(Http::Two)?.post(CONFIG_MAPS, &config_map("the-last")).await?.ok()?;
    let all = async {
        let mut heard = 0;
        while let Some(ended) = watches.join_next().await {
            ended??;
            heard += 1;
        }
        anyhow::Ok(heard)
    };
    let heard = tokio::time::timeout(DEADLINE, all).await.context("some watch hears nothing")??;
    ensure!(heard == WATCHES, "{heard} of {WATCHES} watches heard the last event");

    entry.set("watches", WATCHES);
    entry.set("anonymousRequests", ANONYMOUS_REQUESTS);
    entry.set("connectionsClosedByServers", closed);
    entry.set("connectionsWithCertificateClientsClosedByServers", closed_of_twin);
    entry.set("brokenWatches", 0);
    entry.passed()
}

/// Returns how many connections of the default cluster, and of its twin, a server said to close.
async fn closed_by_servers(site: &Site) -> Result<[u64; 2]> {
    let closed = async |cluster| {
        let stat = format!("cluster.{cluster}.upstream_cx_close_notify");
        anyhow::Ok(site.stack.envoy.stat(&stat).await?.context(stat)?)
    };
    Ok([closed(DEFAULT).await?, closed(DEFAULT_TWIN).await?])
}

/// Returns the line of a server's metrics that the READMEs tell to look for.
fn says_that_the_gate_is_on(line: &str) -> bool {
    line.starts_with("kubernetes_feature_enabled{name=\"UnauthenticatedHTTP2DOSMitigation\"")
        && line.ends_with(" 1")
}

/// Reads a watch up to the event of the object of this name; that it ends
/// before is an error.
async fn until_named(mut response: reqwest::Response, name: &str) -> Result<()> {
    let wanted = format!("\"name\":\"{name}\"");
    let mut seen = Vec::new();
    loop {
        let chunk = response.chunk().await?.context("the watch ended")?;
        seen.extend_from_slice(&chunk);
        if String::from_utf8_lossy(&seen).contains(&wanted) {
            return Ok(());
        }
    }
}
