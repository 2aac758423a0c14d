//! A host of `envoy-config/load-balancer` leaves service under load, and no
//! request fails: not before anybody has noticed that its health check fails,
//! not while clients are asked to go, and not when Envoy ends.
//!
//! ```text
//!   clients ──▶ relay ──(until it notices)──▶ host 1: Envoy, companion ──▶ peers
//!                 └─────────(from then on)──▶ host 2: Envoy, companion ──▶  (the same)
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::artifacts::Artifact;
use harness::fleet::{Fleet, TOKEN};
use harness::load::{Journal, Load};
use harness::load_balancer::LoadBalancer;
use harness::manifests::CONFIG_MAPS;
use harness::process::{Process, Program};
use harness::relay::Relay;
use harness::wait;
use wire::client::{Client, ClientOptions, Http};

const DEADLINE: Duration = Duration::from_secs(60);

const PACE: Duration = Duration::from_millis(30);

/// A handshake costs more than a request.
const PACE_OF_NEWCOMERS: Duration = Duration::from_millis(100);

/// So many operations of the load are enough to say that it works.
const SOME: usize = 100;

/// Starts a host that drains for some seconds only.
async fn host(fleet: &Fleet, name: &str) -> Result<LoadBalancer> {
    let mut options = fleet.stack_options()?;
    options.folder = fleet.folder().join(name);
    options.server = fleet.pki().server(name)?;
    let drain = ["--drain-time-s", "2", "--drain-strategy", "gradual"];
    LoadBalancer::start(options, &drain).await
}

/// Returns the program that the unit runs before Envoy is ended.
fn drain(host: &LoadBalancer, fleet: &Fleet) -> Result<Process> {
    let companion = Artifact::Companion.path()?;
    Program::new("drain", companion, fleet.folder().join("drain.log"))
        .arg("drain")
        .arg(format!("--admin=127.0.0.1:{}", host.envoy.admin_port()))
        .args(["--notice=2s", "--drain=3s", "--linger=1s"])
        .spawn()
}

/// Clients of every kind, with connections that they keep and with new ones.
fn load(fleet: &Fleet, url: &str) -> Result<Load> {
    let by_token = |http| ClientOptions {
        url: url.to_owned(),
        ca_pem: fleet.pki().ca_pem(),
        token: Some(TOKEN.to_owned()),
        certificate: None,
        http,
    };
    let files = fleet.pki().client("jane", "jane", &["dev"])?;
    let by_certificate =
        |http| ClientOptions { token: None, certificate: Some(files.clone()), ..by_token(http) };
    let mut load = Load::default();
    load.objects(Client::new(&by_token(Http::One))?, "token-h1", PACE);
    load.objects(Client::new(&by_token(Http::Two))?, "token-h2", PACE);
    load.objects(Client::new(&by_certificate(Http::One))?, "certificate-h1", PACE);
    load.objects(Client::new(&by_certificate(Http::Two))?, "certificate-h2", PACE);
    load.watcher(Client::new(&by_token(Http::Two))?);
    load.watcher(Client::new(&by_certificate(Http::Two))?);
    load.newcomers(by_token(Http::Two), "newcomers", CONFIG_MAPS, PACE_OF_NEWCOMERS)?;
    load.newcomers(by_certificate(Http::One), "newcomers", CONFIG_MAPS, PACE_OF_NEWCOMERS)?;
    Ok(load)
}

async fn works(journal: &Journal) -> Result<()> {
    let before = journal.count(|_| true);
    let goes_on = async || journal.count(|_| true) >= before + SOME;
    wait::until_true("the load to go on", DEADLINE, goes_on).await
}

#[tokio::test]
async fn a_host_leaves_service_under_load_and_no_request_fails() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let (leaving, staying) = (host(&fleet, "leaving").await?, host(&fleet, "staying").await?);
    assert_eq!(leaving.health_status().await, Some(200));
    assert_eq!(leaving.health().get("/").await?.status, 404);
    let relay = Relay::start(leaving.address()).await?;
    let load = load(&fleet, &relay.url())?;
    works(load.journal()).await?;

    let mut drain = drain(&leaving, &fleet)?;
    wait::until("the health check to fail", DEADLINE, async || {
        let health = leaving.health_status().await;
        ensure!(health == Some(503), "it says {health:?}");
        anyhow::Ok(())
    })
    .await?;
    // The one in front has not noticed yet.
    let newcomers = load.journal().count(|operation| operation.label == "newcomers");
    wait::until_true("newcomers", DEADLINE, async || {
        load.journal().count(|operation| operation.label == "newcomers") > newcomers + 2
    })
    .await?;
    relay.turn_to(staying.address());

    wait::until("the drain to end", DEADLINE, async || {
        let status = drain.exited()?.context("it runs")?;
        ensure!(status.success(), "{}", drain.tail());
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(leaving.health_status().await, None, "nothing listens");
    // Requests that had begun continue until Envoy ends.
    assert_eq!(load.journal().watches_ended(), 0);
    let LoadBalancer { envoy, companion: _companion, .. } = leaving;
    envoy.stop().await?;
    works(load.journal()).await?;

    let journal = load.finish().await?;
    let failed = journal.operations(|operation| !operation.is_ok());
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
    let repeated = journal.operations(|operation| operation.attempts > 1);
    assert!(repeated.is_empty(), "{} were repeated: {repeated:#?}", repeated.len());
    assert_eq!(journal.watches_ended(), 2);
    assert_eq!(journal.unseen(), [""; 0]);
    Ok(())
}
