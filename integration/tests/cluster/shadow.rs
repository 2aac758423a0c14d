//! Shadow mode on real servers: its count of 404s that the filter would have prevented is the number of
//! wrong 404s that clients get by plain round robin in the same run, a rolling upgrade and the way back.
//! Then the filter enforces, without a restart, and there is none. Further switches fail no request.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use discovery_map::{DiscoveryMap, Mode, PeerState};
use harness::control_plane::ServerOptions;
use harness::load::{Journal, Load, Operation, Retrying};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER, has_type, only_in};
use harness::wait;
use reqwest::Method;
use serde_json::json;
use wire::client::Http;

/// In `make test-slow`, three servers go up and back.
const SERVERS: usize = if cfg!(feature = "slow") { 3 } else { 2 };

/// How often the mode is switched and switched back.
const SWITCHES: usize = if cfg!(feature = "slow") { 50 } else { 3 };

const DEADLINE: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(20);

const NOT_FOUND: &str = "mixed_version_proxy_withheld_not_found_total";

#[tokio::test]
async fn shadow_mode_counts_the_wrong_404s_that_clients_get() -> Result<()> {
    let mut entry = Entry::begin("cluster_shadow");
    let servers = (0..SERVERS).map(|number| {
        ServerOptions::new(format!("cp-{number}"), OLDER)
            .argument("--shutdown-watch-termination-grace-period=1s")
    });
    let mut site = Site::start_in_mode(servers.collect(), Mode::Shadow).await?;
    upgrade(&mut site, 0, true).await?;

    // From here to the last downgrade, some server has the type, and the map says so.
    let skewed = only_in(NEWER, OLDER)?;
    site.stack.wait_for_map("the type", |map| has_type(map, &skewed)).await?;
    let mut load = Load::default();
    for http in [Http::One, Http::Two, Http::One] {
        load.probe(site.client(http)?, "skewed", &skewed, PACE);
        load.probe(site.client(http)?, "common", "/api/v1/namespaces/default/configmaps", PACE);
    }
    works(load.journal()).await?;
    for server in 1..SERVERS {
        upgrade(&mut site, server, true).await?;
    }
    for server in 0..SERVERS - 1 {
        upgrade(&mut site, server, false).await?;
    }
    works(load.journal()).await?;
    let journal = load.finish().await?;

    let wrong = journal.count(Operation::is_type_level_404);
    entry.set("requests", journal.count(|_| true));
    entry.set("wrong404s", wrong);
    entry.set("unavailable", journal.count(Operation::is_unavailable));
    ensure!(wrong > 10, "only {wrong} wrong 404s");
    let of_common = |o: &Operation| o.label == "common" && o.is_type_level_404();
    assert_eq!(journal.operations(of_common).len(), 0);
    let count = async |outcome: &str| {
        site.stack.envoy.metric(NOT_FOUND, &[&*format!("outcome=\"{outcome}\"")]).await
    };
    let (prevented, replaced) = wait::until("all to be counted", DEADLINE, async || {
        let counted = (count("prevented").await?, count("replaced").await?);
        let sum = counted.0 + counted.1;
        ensure!(sum >= f64::from(u32::try_from(wrong)?), "{counted:?} of {wrong}");
        anyhow::Ok(counted)
    })
    .await?;
    entry.set("prevented", prevented);
    // While a busy machine makes the only server with the type not ready, the filter would answer 503.
    entry.set("replaced", replaced);
    assert_eq!(prevented + replaced, f64::from(u32::try_from(wrong)?));
    ensure!(prevented > replaced, "{prevented} would have been answered, {replaced} refused");

    enforces(&mut site, &skewed).await?;
    switches(&mut site, &mut entry).await?;
    entry.passed()
}

/// Switches to enforcing: every request for the type is answered by a server that has it.
async fn enforces(site: &mut Site, skewed: &str) -> Result<()> {
    let begun = Instant::now();
    site.stack.configure(json!({ "mode": Mode::Enforce }))?;
    site.stack.wait_for_map("enforcing", |map| map.mode == Mode::Enforce).await?;
    println!("enforces after {:?}", begun.elapsed());
    let client = Retrying::new(site.client(Http::Two)?);
    for _ in 0..20 {
        // While a busy server cannot be reached, Envoy answers 503 with `Retry-After`, never 404.
        let (operation, _) = client.run("skewed", Method::GET, skewed, None).await;
        ensure!(operation.is_ok(), "{operation:?}");
    }
    Ok(())
}

/// Switches to shadow mode and back under load: no request for what all servers have fails.
async fn switches(site: &mut Site, entry: &mut Entry) -> Result<()> {
    let mut load = Load::default();
    for (http, prefix) in [(Http::One, "over-h1"), (Http::Two, "over-h2")] {
        load.objects(site.client(http)?, prefix, PACE);
        load.probe(site.client(http)?, "common", "/api/v1/namespaces/default/configmaps", PACE);
    }
    for _ in 0..SWITCHES {
        for mode in [Mode::Shadow, Mode::Enforce] {
            site.stack.configure(json!({ "mode": mode }))?;
            site.stack.wait_for_map(mode.as_str(), |map| map.mode == mode).await?;
        }
    }
    let journal = load.finish().await?;
    let failed = journal.operations(|operation| !operation.is_ok());
    entry.set("switches", SWITCHES);
    entry.set("requestsWhileSwitching", journal.count(|_| true));
    ensure!(failed.is_empty(), "failed: {failed:#?}");
    ensure!(journal.count(|_| true) > 20 * SWITCHES, "hardly any request");
    Ok(())
}

/// Restarts a server as the newer or the older version, and waits until the map has what it serves.
async fn upgrade(site: &mut Site, number: usize, newer: bool) -> Result<()> {
    let version = if newer { NEWER } else { OLDER };
    let server = site.plane.server_mut(number)?;
    let name = server.name().to_owned();
    server.stop().await?;
    site.stack.wait_for_map("one server less", |map| state(map, &name).is_none()).await?;
    site.plane.server_mut(number)?.restart_as(version).await?;
    site.stack.wait_for_map("all servers", |map| state(map, &name).is_some()).await
}

/// Returns a server's state if it is in rotation.
fn state(map: &DiscoveryMap, name: &str) -> Option<PeerState> {
    let mut peers = map.peers.iter();
    let peer = peers.find(|peer| peer.name == name && peer.state == PeerState::Serving)?;
    Some(peer.state)
}

/// Waits until every client has done something more.
async fn works(journal: &Journal) -> Result<()> {
    let since = Instant::now();
    wait::until("work of all clients", DEADLINE, async || {
        for label in ["common", "skewed"] {
            let done = journal.count(|o| o.label == label && o.started > since);
            ensure!(done >= 100, "{done} of {label}");
        }
        anyhow::Ok(())
    })
    .await
}
