//! A mirror on the host of an Envoy: Envoy starts without a companion, and goes back to one.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

mod older;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::ads::{self, AdsCompanion, client, is_served};
use harness::companion::Companion;
use harness::envoy::Envoy;
use harness::tap::{has, has_no_key};
use harness::wait;

const DEADLINE: Duration = Duration::from_secs(30);

/// How long an Envoy may take to go back to a companion that answers again, which leaves out the
/// first companion for three seconds and asks again within two.
const BACK: Duration = Duration::from_secs(12);

/// Waits until the mirror has what the companion serves.
async fn follows(companion: &AdsCompanion, mirror: &mut Companion) -> Result<()> {
    mirror.wait_ready().await?;
    wait::until("the mirror to have everything", DEADLINE, async || {
        let view = companion.envoys().await?;
        let all = view["envoys"].as_array().context("no clients")?;
        let found = all.iter().find(|client| client["mirror"] == true).context("no mirror")?;
        ensure!(found["versions"] == view["versions"], "{view:#}");
        let own = mirror.json("/v1/envoys").await?;
        ensure!(own["versions"] == view["versions"], "{own:#} {view:#}");
        anyhow::Ok(())
    })
    .await
}

/// Waits until this companion or mirror serves so many Envoys, not counting mirrors.
async fn serves(server: &Companion, count: usize) -> Result<()> {
    wait::until("Envoys to have everything", DEADLINE, async || {
        let view = server.json("/v1/envoys").await?;
        let all = view["envoys"].as_array().context("no clients")?;
        let envoys = all.iter().filter(|client| client["mirror"] != true);
        let current = envoys.filter(|envoy| envoy["versions"] == view["versions"]);
        ensure!(current.count() == count, "{view:#}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn an_envoy_starts_without_a_companion_and_goes_back_to_it() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion-1").await?;
    let ports = [companion.port; 2];
    let mut mirror = site.mirror("envoy-1", ports).await?;
    follows(&companion, &mut mirror).await?;
    assert_eq!(mirror.json("/v1/mirror").await?["ageSeconds"], 0);
    companion.companion.kill_9();
    // It remembers what it had.
    mirror.kill_9();
    mirror.start_again().await?;
    mirror.wait_ready().await?;

    let envoy = Envoy::start(site.envoy("envoy-1", ports)?).await?;
    let client = client(&fleet, &envoy).await?;
    is_served(&client).await?;
    serves(&mirror, 1).await?;
    assert!(mirror.json("/v1/mirror").await?["ageSeconds"].is_u64());
    let removed = "cluster_manager.cluster_removed";
    let before = envoy.stat(removed).await?;

    fleet.peers[1].add_crd(Crd::new("meanwhile.example.com", "Widget"))?;
    companion.companion.start_again().await?;
    companion.companion.wait_ready().await?;
    let back = Instant::now();
    while companion.envoys().await?["envoys"].as_array().map_or(0, Vec::len) < 2 {
        is_served(&client).await?;
        ensure!(back.elapsed() < DEADLINE, "Envoy stays at the mirror");
    }
    let took = back.elapsed();
    ensure!(took < BACK, "Envoy went back only after {took:?}");
    serves(&companion.companion, 1).await?;
    is_served(&client).await?;
    assert_eq!(client.get("/apis/meanwhile.example.com/v1/widgets").await?.status, 200);
    assert_eq!(envoy.stat(removed).await?, before, "no cluster goes because of a move");

    // A mirror that ends is not missed, and one that has nothing holds nobody.
    mirror.kill_9();
    is_served(&client).await?;
    serves(&companion.companion, 1).await
}

#[tokio::test]
async fn a_companion_that_goes_leaves_its_envoys_to_the_other_one_and_then_to_the_mirror()
-> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut one = site.companion("companion-1").await?;
    let mut other = site.companion("companion-2").await?;
    let ports = [one.port, other.port];
    one.companion.kill_9();
    let mut mirror = site.mirror("envoy-1", ports).await?;
    follows(&other, &mut mirror).await?;
    let envoy = Envoy::start(site.envoy("envoy-1", ports)?).await?;
    let client = client(&fleet, &envoy).await?;
    // The mirror serves an Envoy only what that Envoy has already: the companion must not push another
    // map just before it is killed.
    other.companion.wait_for_storage_versions("/v1/map").await?;
    follows(&other, &mut mirror).await?;
    serves(&other.companion, 1).await?;
    is_served(&client).await?;
    other.companion.kill_9();
    serves(&mirror, 1).await?;
    is_served(&client).await?;
    let stale = mirror.json("/v1/mirror").await?;
    assert_eq!(stale["companion"], serde_json::Value::Null);
    assert!(stale["lastProblems"].as_object().is_some_and(|all| !all.is_empty()), "{stale}");
    Ok(())
}

#[tokio::test]
async fn a_mirror_that_has_nothing_lets_envoy_wait_and_says_so() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion-1").await?;
    let ports = [companion.port; 2];
    companion.companion.kill_9();
    let mut mirror = site.mirror("envoy-1", ports).await?;
    assert_eq!(mirror.get("/readyz").await?.status, 503);
    let log = site.mirror_log("envoy-1");
    let log = fs::read_to_string(log)?;
    assert!(log.contains("there are no saved resources: Envoy waits"), "{log}");
    let mut envoy = Envoy::spawn(site.envoy("envoy-1", ports)?).await?;
    companion.companion.start_again().await?;
    envoy.wait_ready().await?;
    is_served(&client(&fleet, &envoy).await?).await?;
    follows(&companion, &mut mirror).await
}

#[tokio::test]
async fn a_damaged_file_is_not_served_and_no_file_has_a_private_key() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion-1").await?;
    let ports = [companion.port; 2];
    let mut mirror = site.mirror("envoy-1", ports).await?;
    follows(&companion, &mut mirror).await?;
    // So that there is an older set.
    fleet.peers[1].add_crd(Crd::new("one.example.com", "Widget"))?;
    let folder = site.mirror_folder("envoy-1");
    let (latest, before) = (folder.join("mirror.bin"), folder.join("mirror-before.bin"));
    wait::until("a second set", DEADLINE, async || {
        ensure!(before.exists(), "there is one only");
        anyhow::Ok(())
    })
    .await?;
    follows(&companion, &mut mirror).await?;
    companion.companion.kill_9();
    mirror.kill_9();
    for file in [&latest, &before] {
        let bytes = fs::read(file)?;
        ensure!(
            has(&bytes, "BEGIN CERTIFICATE") && has(&bytes, "kube-apiserver"),
            "{} does not have the mirrored resources",
            file.display()
        );
        let certificates = [site.companion_certificate(), site.envoy_certificate()];
        has_no_key(&bytes, &[&site.options().server, &certificates[0], &certificates[1]])?;
    }
    let mut bytes = fs::read(&latest)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&latest, bytes)?;
    mirror.start_again().await?;
    mirror.wait_ready().await?;
    let log = fs::read_to_string(site.mirror_log("envoy-1"))?;
    assert!(log.contains("its checksum is wrong"), "{log}");
    let envoy = Envoy::start(site.envoy("envoy-1", ports)?).await?;
    is_served(&client(&fleet, &envoy).await?).await
}
