//! From a peer's change to Envoy's workers. If something in between breaks, the
//! last good map stays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use discovery_map::DiscoveryMap;
use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::{Crd, PEER_HEADER};
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::measure::resident_kib;
use harness::promise;
use harness::wait;
use wire::client::Http;

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const ECDS: &str = "extension_config_discovery.http_filter.mixed-version-proxy";

/// The time that the project promises from a change on a peer to the route in Envoy.
const PROMISE: Duration = Duration::from_secs(2);

const DEADLINE: Duration = Duration::from_secs(30);

fn knows(map: &DiscoveryMap, group: &str) -> bool {
    map.group(group.as_bytes()).is_some()
}

#[tokio::test]
async fn a_new_type_is_routed_within_two_seconds() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for round in 0..3 {
        let group = format!("round{round}.example.com");
        let path = format!("/apis/{group}/v1/widgets");
        assert_eq!(client.get(&path).await?.status, 404);

        fleet.peers[1].add_crd(Crd::new(&group, "Widget"))?;
        let changed = Instant::now();
        // Once the map has it, every request is answered.
        wait::until("the type to be served", DEADLINE, async || {
            let found = client.get(&path).await?;
            ensure!(found.status == 200, "{}", found.status);
            anyhow::Ok(())
        })
        .await?;
        stack.wait_for_map("the new group", |map| knows(map, &group)).await?;
        promise::ensure_kept("the type was routed", PROMISE, changed.elapsed())?;
        for _ in 0..8 {
            assert_eq!(client.get(&path).await?.ok()?.header(PEER_HEADER), Some("cp-2"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_upgraded_server_gets_requests_for_its_new_types() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    fleet.peer(0)?.upgrade(Recording::of(Version::V1_36)?)?;
    stack.wait_for_map("no skew", |map| map.skewed_targets() == 0).await?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let answer = client.get(POLICIES).await?.ok()?;
        seen.insert(answer.header(PEER_HEADER).unwrap_or_default().to_owned());
    }
    assert_eq!(seen.len(), 2, "{seen:?}");

    // And back: the other one keeps the type.
    fleet.peer(0)?.upgrade(Recording::of(Version::V1_35)?)?;
    stack.wait_for_map("skew again", |map| map.skewed_targets() > 0).await?;
    for _ in 0..8 {
        client.get(POLICIES).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_ready_gets_nothing_and_its_types_are_unavailable() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    fleet.peer(1)?.set_ready(false);
    let changed = Instant::now();
    wait::until("the type to be unavailable", DEADLINE, async || {
        let answer = client.get(POLICIES).await?;
        ensure!(answer.status == 503 && answer.header("retry-after").is_some(), "{answer:?}");
        anyhow::Ok(())
    })
    .await?;
    promise::ensure_kept("the type was unavailable", PROMISE, changed.elapsed())?;
    for _ in 0..8 {
        let answer = client.get("/api/v1/nodes").await?.ok()?;
        assert_eq!(answer.header(PEER_HEADER), Some("cp-1"));
    }
    fleet.peer(1)?.set_ready(true);
    let ready = Instant::now();
    wait::until("the type to be served again", DEADLINE, async || {
        client.get(POLICIES).await?.ok().map(|_| ())
    })
    .await?;
    promise::ensure_kept("the type was served again", PROMISE, ready.elapsed())
}

#[tokio::test]
async fn a_peer_removed_from_the_configuration_takes_its_types_along() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let mut peers = fleet.addresses();
    peers.truncate(1);
    stack.set_peers(peers)?;
    stack.wait_for_map("one peer", |map| map.peers.len() == 1).await?;
    // It may have known what the other has not seen yet.
    assert_eq!(client.get(POLICIES).await?.status.as_u16(), 503);
    stack.wait_for_map("that to be over", |map| map.peers.len() == 1 && !map.just_left).await?;
    let answer = client.get(POLICIES).await?;
    assert_eq!((answer.status.as_u16(), answer.header(PEER_HEADER)), (404, Some("cp-1")));

    stack.set_peers(fleet.addresses())?;
    stack.companion.reload()?;
    stack.wait_for_map("two peers", |map| map.peers.len() == 2 && map.complete).await?;
    client.get(POLICIES).await?.ok().map(|_| ())
}

#[tokio::test]
async fn routing_goes_on_without_the_companion_even_over_a_restart_of_envoy() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    stack.companion.kill_9();
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..8 {
        client.get(POLICIES).await?.ok()?;
    }
    let mut stack = stack.restart_envoy().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..8 {
        client.get(POLICIES).await?.ok()?;
    }

    // The companion finds its own traces and goes on from there.
    let before = stack.generation().await?;
    fleet.peers[0].add_crd(Crd::new("later.example.com", "Widget"))?;
    stack.companion.start_again().await?;
    stack.wait_for_map("the later group", |map| knows(map, "later.example.com")).await?;
    assert!(stack.generation().await? > before);
    Ok(())
}

#[tokio::test]
async fn a_companion_that_restarts_while_a_server_is_down_remembers_its_types() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    stack.companion.kill_9();
    fleet.peer(1)?.stop().await;
    stack.companion.start_again().await?;
    stack.companion.wait_ready().await?;
    stack
        .wait_for_map("one server to be missing", |map| map.complete && unreachable(map) == 1)
        .await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..8 {
        let answer = client.get(POLICIES).await?;
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    Ok(())
}

fn unreachable(map: &DiscoveryMap) -> usize {
    let state = discovery_map::PeerState::Unreachable;
    map.peers.iter().filter(|peer| peer.state == state).count()
}

/// Replaces a published file as an update would, by rename.
fn replace(file: &Path, content: &[u8]) -> Result<()> {
    let new = file.with_extension("damaged");
    fs::write(&new, content)?;
    Ok(fs::rename(new, file)?)
}

#[tokio::test]
async fn a_damaged_map_file_changes_nothing_and_is_repaired() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let file = stack.options().published().join("ecds.json");
    let good = fs::read(&file)?;
    let refused_map = String::from_utf8(good.clone())?
        .replace("\\\"schemaVersion\\\":1", "\\\"schemaVersion\\\":99");
    assert_ne!(refused_map.as_bytes(), good, "the test does not damage the map");
    let half = good[..good.len() / 2].to_vec();
    for damage in [Vec::new(), half, b"\0\xff{".to_vec(), b"{}".to_vec(), refused_map.into_bytes()]
    {
        let before = stack.generation().await?;
        replace(&file, &damage)?;
        for _ in 0..8 {
            client.get(POLICIES).await?.ok()?;
        }
        wait::until("the file to be repaired", Duration::from_secs(10), async || {
            let live = stack.generation().await?;
            ensure!(live > before, "Envoy is at generation {live}");
            anyhow::Ok(())
        })
        .await?;
        client.get(POLICIES).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_map_that_the_filter_refuses_is_refused_by_envoy_as_well() -> Result<()> {
    serves_by_the_last_map_after("\\\"schemaVersion\\\":99", "version 99 is not supported").await
}

#[tokio::test]
async fn a_map_with_an_unknown_field_is_refused() -> Result<()> {
    let newer = "\\\"schemaVersion\\\":1,\\\"answeringVersion\\\":\\\"1.36\\\"";
    serves_by_the_last_map_after(newer, "unknown field `answeringVersion`").await
}

/// Pushes the last map with this in place of its schema version.
async fn serves_by_the_last_map_after(edit: &str, reason: &str) -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    stack.companion.kill_9();
    let client = fleet.client(&stack.url(), Http::Two)?;
    let file = stack.options().published().join("ecds.json");
    let generation = stack.wait_for_last_map().await?;
    let good = fs::read_to_string(&file)?;
    let refused = good.replace("\\\"schemaVersion\\\":1", edit);
    assert_ne!(refused, good, "the test does not change the map");
    replace(&file, refused.as_bytes())?;
    wait::until("Envoy to refuse the map", Duration::from_secs(10), async || {
        let rejected = stack.envoy.stat(&format!("{ECDS}.config_fail")).await?.unwrap_or_default()
            + stack.envoy.stat(&format!("{ECDS}.update_rejected")).await?.unwrap_or_default();
        ensure!(rejected > 0, "nothing refused");
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(stack.generation().await?, generation);
    for _ in 0..8 {
        client.get(POLICIES).await?.ok()?;
    }
    // func-e copies what Envoy writes.
    wait::until("the log to say why", DEADLINE, async || {
        let log = fs::read_to_string(stack.envoy.process().log())?;
        ensure!(log.contains(reason), "it does not:\n{log}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn an_envoy_that_starts_with_a_refused_map_answers_500_until_it_is_corrected() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    stack.companion.kill_9();
    let client = fleet.client(&stack.url(), Http::Two)?;
    let file = stack.options().published().join("ecds.json");
    let good = fs::read_to_string(&file)?;
    let refused = good.replace("\\\"schemaVersion\\\":1", "\\\"schemaVersion\\\":99");
    assert_ne!(refused, good, "the test does not change the map");
    replace(&file, refused.as_bytes())?;

    let options = stack.envoy.options().clone();
    stack.envoy.stop().await?;
    let mut envoy = Envoy::spawn(options).await?;
    // Once the module is compiled, Envoy is ready all the same, but no request reaches a server.
    envoy.wait_ready().await?;
    wait::until("Envoy to refuse the map", DEADLINE, async || {
        let log = fs::read_to_string(envoy.process().log())?;
        ensure!(log.contains("version 99 is not supported"), "nothing refused");
        anyhow::Ok(())
    })
    .await?;
    for path in [POLICIES, "/api/v1/nodes", "/healthz"] {
        let answer = client.get(path).await?;
        assert_eq!((answer.status.as_u16(), answer.header(PEER_HEADER)), (500, None), "{path}");
    }
    replace(&file, good.as_bytes())?;
    wait::until("requests to be served", Duration::from_secs(10), async || {
        client.get(POLICIES).await?.ok().map(|_| ())
    })
    .await
}

#[tokio::test]
async fn many_pushes_do_not_make_envoy_grow() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut stack = fleet.stack().await?;
    stack.companion.kill_9();
    let file = stack.options().published().join("ecds.json");
    let first = stack.wait_for_last_map().await?;
    let good = fs::read_to_string(&file)?;
    let pid = stack.envoy.pid()?;

    let push = async |generation: u64| {
        let number = format!("\\\"generation\\\":{first},");
        let pushed = good.replace(&number, &format!("\\\"generation\\\":{generation},")).replace(
            &format!("\"version_info\":\"{first}\""),
            &format!("\"version_info\":\"{generation}\""),
        );
        replace(&file, pushed.as_bytes())?;
        wait::until("the push", Duration::from_secs(10), async || {
            let live = stack.generation().await?;
            ensure!(live == generation, "Envoy is at generation {live}, not {generation}");
            anyhow::Ok(())
        })
        .await
    };
    for generation in first + 1..first + 50 {
        push(generation).await?;
    }
    let before = resident_kib(pid)?;
    for generation in first + 50..first + 200 {
        push(generation).await?;
    }
    let after = resident_kib(pid)?;
    ensure!(after < before + 16 * 1024, "{before} KiB grew to {after} KiB");
    Ok(())
}
