//! Anonymous requests do not end the watches of clients with certificates.
//!
//! With the gate `UnauthenticatedHTTP2DOSMitigation` kube-apiserver closes an
//! HTTP/2 connection on which it answered an anonymous request. Envoy puts many
//! clients on one connection, so there are two kinds: certificate clients never
//! share one with others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::client::Http;
use integration::control_plane::{ServerOptions, User, Version};
use integration::manifests::{CONFIG_MAPS, config_map};
use integration::report::Entry;
use integration::site::Site;
use tokio::task::JoinSet;

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
    let servers = vec![server("old", Version::V1_35), server("new", Version::V1_36)];
    let site = Site::start(servers).await?;
    let url = site.stack.url();

    let mut watches = JoinSet::new();
    for _ in 0..WATCHES {
        let client = site.plane.client(&url, User::KubernetesAdmin, Http::Two)?;
        let response = client
            .stream(&format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=1800"))
            .await?
            .error_for_status()?;
        watches.spawn(until_named(response, "the-last"));
    }
    let before = site.stack.envoy.stat(CLOSED).await?.unwrap_or_default();
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
    let closed = site.stack.envoy.stat(CLOSED).await?.unwrap_or_default() - before;
    ensure!(closed > 0, "no connection was closed: the gate is off");

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
    entry.set("brokenWatches", 0);
    entry.passed()
}

/// Connections of the default cluster, not its twin's, that a server closed.
const CLOSED: &str = "cluster.kube-apiserver.upstream_cx_close_notify";

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
