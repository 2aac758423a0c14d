//! Streams that begin with an upgrade (exec, attach, port-forward) and logs
//! without end, through Envoy to real API servers and a stand-in for a kubelet:
//! for a client with a certificate and for one with a token, over WebSocket and
//! over SPDY/3.1.
//!
//! A refused upgrade is dangerous: if the server reads the bytes that follow as a
//! request, no proxy has seen that request, and its connection may name any user.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::{KubeletOptions, KubeletStandIn, ServerOptions, User};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};

mod smuggling;
mod streams;

use smuggling::{Attempt, Audit};
use streams::{POD, Protocol};

const KUBECTL: Version = NEWER;

/// How long a log is quiet between lines.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test]
async fn streams_work_over_websocket_and_spdy() -> Result<()> {
    let mut entry = Entry::begin("cluster_exec_streams");
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.into()).await?;
    let _kubelet = kubelet(&site).await?;

    let users = [User::KubernetesAdmin, User::Admin];
    for user in users {
        let kubectl = site.plane.kubectl(KUBECTL, &site.stack.url(), user)?;
        let mut log = streams::Log::follow(&kubectl).await?;
        for protocol in Protocol::ALL {
            // Several, for all servers take part.
            for round in 0..site.plane.servers().len() {
                let all = streams::all(&kubectl, protocol).await;
                all.with_context(|| format!("{user:?}, {protocol:?}, round {round}"))?;
            }
        }
        log.goes_on(2).await?;
    }
    let plain = site.plane.kubectl(KUBECTL, &site.stack.url(), User::PlainCertificate)?;
    for protocol in Protocol::ALL {
        let denied = protocol.of(&plain).run(&["exec", POD, "--", "out:hello"]).await?;
        ensure!(denied.stderr.contains("forbidden"), "{denied:?}");
    }

    let streams = users.len() * Protocol::ALL.len() * site.plane.servers().len() * streams::COUNT;
    entry.set("streams", streams);
    entry.set("failed", 0);
    entry.passed()
}

#[tokio::test]
async fn bytes_after_a_refused_upgrade_are_not_a_request() -> Result<()> {
    let mut entry = Entry::begin("cluster_exec_smuggling");
    let audit = Audit::new()?;
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| audit.logs.server(name, version));
    let site = Site::start(servers.into()).await?;
    let _kubelet = kubelet(&site).await?;
    smuggling::allow_exec(&site).await?;

    // A careless proxy, to show that the test can fail: on a front proxy's
    // connection the second request is served with the identity that it claims.
    let attempts = Attempt::all();
    for (index, attempt) in attempts.iter().enumerate() {
        let server = site.plane.server(index % 2)?;
        let careless = attempt.directly(&site.plane, server.port(), "Upgrade").await?;
        ensure!(careless.served, "{attempt:?}: {careless:?}");
        // It is not served if the first request has `Connection: close`.
        let careful = attempt.directly(&site.plane, server.port(), "Upgrade, close").await?;
        ensure!(!careful.served && careful.closed, "{attempt:?}: {careful:?}");
    }
    let served_directly = audit.smuggled(&site).await?;
    ensure!(served_directly == attempts.len(), "{served_directly} of {}", attempts.len());

    for attempt in &attempts {
        for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade, X-Remote-User, close"] {
            let answer = attempt.through(&site, connection).await?;
            ensure!(!answer.served && answer.closed, "{attempt:?}, {connection}: {answer:?}");
        }
    }
    let served = audit.smuggled(&site).await? - served_directly;
    ensure!(served == 0, "{served} requests that no proxy has seen were served");

    entry.set("refusedUpgrades", 3 * attempts.len());
    entry.set("smuggledDirectly", served_directly);
    entry.set("smuggledThroughEnvoy", served);
    entry.passed()
}

/// Starts a node with a pod on it.
async fn kubelet(site: &Site) -> Result<KubeletStandIn> {
    let options = KubeletOptions { log_interval: QUIET, ..KubeletOptions::new("node-0", KUBECTL) };
    let kubelet = site.plane.kubelet(&options).await?;
    kubelet.run_pod("default", POD).await?;
    Ok(kubelet)
}
