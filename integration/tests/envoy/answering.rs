//! One version answers the requests that all servers can answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use asking::{Asking, answered, failures};
use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::PEER_HEADER;
use harness::fleet::{Fleet, TOKEN};
use harness::manifests::{CONFIG_MAPS, config_map};
use harness::promise;
use harness::stack::{Stack, StackOptions};
use harness::wait;
use serde_json::Value;
use wire::client::{Client, ClientOptions, Http};

mod asking;
mod attempts;

const DEADLINE: Duration = Duration::from_secs(30);

/// Another version answers within this time, and each request has its answer.
const PROMISE: Duration = Duration::from_secs(1);

/// Several ejections by Envoy run out in this time.
const EJECTIONS: Duration = Duration::from_secs(12);

/// Clients over both versions of HTTP, with a token and with a certificate: those have clusters
/// and routes of their own.
fn clients(fleet: &Fleet, stack: &Stack) -> Result<Vec<Client>> {
    let (http, mut clients) = ([Http::Two, Http::One, Http::Two], Vec::new());
    for certificate in [None, Some(fleet.pki().client("jane", "jane", &["people"])?)] {
        for http in http {
            let client = Client::new(&ClientOptions {
                url: stack.url(),
                ca_pem: fleet.pki().ca_pem(),
                token: certificate.is_none().then(|| TOKEN.to_owned()),
                certificate: certificate.clone(),
                http,
            });
            clients.push(client?);
        }
    }
    Ok(clients)
}

/// `None` is the policy that is shipped.
async fn stack(fleet: &Fleet, answering_version: Option<&'static str>) -> Result<Stack> {
    let options = StackOptions { answering_version, ..fleet.stack_options()? };
    Stack::start_with_map(options).await
}

/// `cp-1` and `cp-2` are 1.35, `cp-3` is 1.36.
async fn two_and_one() -> Result<(Fleet, Stack, Asking)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_35, Version::V1_36]).await?;
    let stack = stack(&fleet, None).await?;
    let began = Instant::now();
    let asking = Asking::start(clients(&fleet, &stack)?);
    // On a busy machine, it takes some time until both have answered.
    let asked = wait::until("answers of two servers", DEADLINE, async || {
        asking.for_a_while(Duration::from_secs(1)).await;
        let asked = asking.since(began);
        ensure!(answered(&asked).len() >= 2, "{:?} {:?}", answered(&asked), failures(&asked));
        anyhow::Ok(asked)
    })
    .await?;
    assert_eq!(answered(&asked), ["cp-1", "cp-2"].into(), "{:?}", failures(&asked));
    Ok((fleet, stack, asking))
}

/// Stops a peer, waits until the companion sees it, and starts it as another version.
async fn upgrade(fleet: &mut Fleet, stack: &Stack, index: usize, to: Version) -> Result<()> {
    let peer = fleet.peer(index)?;
    let name = peer.name().to_owned();
    peer.stop().await;
    wait::until("the peer to be away", DEADLINE, async || {
        let state = peer_field(stack, &name, "state").await?;
        ensure!(state != "serving", "{state}");
        anyhow::Ok(())
    })
    .await?;
    peer.upgrade(Recording::of(to)?)?;
    peer.start_again().await?;
    wait::until("the peer to be back", DEADLINE, async || {
        let state = peer_field(stack, &name, "state").await?;
        ensure!(state == "serving", "{state}");
        anyhow::Ok(())
    })
    .await
}

async fn peer_field(stack: &Stack, name: &str, field: &str) -> Result<Value> {
    let peers = stack.companion.json("/v1/peers").await?;
    let mut peers = peers.as_array().context("no list")?.iter();
    let peer = peers.find(|peer| peer["name"] == name).context("no such peer")?;
    Ok(peer[field].clone())
}

async fn metrics(stack: &Stack) -> Result<String> {
    Ok(stack.companion.get("/metrics").await?.ok()?.text())
}

/// Waits until only these answer.
async fn only(asking: &Asking, names: &[&str]) -> Result<()> {
    wait::until(&format!("answers of {names:?} only"), DEADLINE, async || {
        let asked = asking.for_a_while(Duration::from_millis(500)).await;
        ensure!(answered(&asked) == names.iter().copied().collect(), "{:?}", answered(&asked));
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn without_an_answering_version_all_servers_answer() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_35, Version::V1_36]).await?;
    let stack = stack(&fleet, Some("any")).await?;
    let asking = Asking::start(clients(&fleet, &stack)?);
    only(&asking, &["cp-1", "cp-2", "cp-3"]).await?;
    assert!(!metrics(&stack).await?.contains("answering_version{"));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_is_one_switch_that_fails_no_request_and_ends_no_watch() -> Result<()> {
    let (mut fleet, stack, asking) = two_and_one().await?;
    let began = Instant::now();
    let mut watch = watch_on(&fleet.client(&stack.url(), Http::Two)?, "cp-1").await?;
    assert_eq!(peer_field(&stack, "cp-1", "minorVersion").await?, "1.35");
    assert_eq!(peer_field(&stack, "cp-3", "answering").await?, false);
    upgrade(&mut fleet, &stack, 1, Version::V1_36).await?;
    only(&asking, &["cp-2", "cp-3"]).await?;
    let asked = asking.since(began);
    assert!(failures(&asked).is_empty(), "{:?}", failures(&asked));
    assert_eq!(peer_field(&stack, "cp-1", "answering").await?, false);
    assert_eq!(peer_field(&stack, "cp-3", "answering").await?, true);
    let metrics = metrics(&stack).await?;
    assert!(metrics.contains("answering_version{version=\"1.36\"} 1"), "{metrics}");
    assert!(metrics.contains("version_switches_total 1"), "{metrics}");

    let client = fleet.client(&stack.url(), Http::Two)?;
    client.post(CONFIG_MAPS, &config_map("after-the-switch")).await?.ok()?;
    assert!(sees(&mut watch, "after-the-switch").await?, "the watch ended");
    Ok(())
}

/// Starts a watch that this server answers.
async fn watch_on(client: &Client, peer: &str) -> Result<reqwest::Response> {
    wait::until("a watch", DEADLINE, async || {
        let path = format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=600");
        let watch = client.stream(&path).await?.error_for_status()?;
        let answered = watch.headers().get(PEER_HEADER).context("no peer is named")?;
        ensure!(answered == peer, "{answered:?} answers");
        anyhow::Ok(watch)
    })
    .await
}

/// Returns whether a watch sees an object; false if it ended.
async fn sees(watch: &mut reqwest::Response, name: &str) -> Result<bool> {
    let reading = async {
        let mut rest = Vec::new();
        while let Ok(Some(chunk)) = watch.chunk().await {
            rest.extend_from_slice(&chunk);
            if String::from_utf8_lossy(&rest).contains(name) {
                return true;
            }
            // An event is a line, which can come in two pieces.
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            rest.drain(..end);
        }
        false
    };
    Ok(tokio::time::timeout(DEADLINE, reading).await?)
}

#[tokio::test]
async fn a_dead_server_of_the_answering_version_sends_nobody_to_another_version() -> Result<()> {
    let (mut fleet, mut stack, asking) = two_and_one().await?;
    stack.companion.kill_9();
    let killed = Instant::now();
    fleet.peer(0)?.stop().await;
    let asked = asking.for_a_while(EJECTIONS).await;
    assert_eq!(answered(&asked), ["cp-2"].into());
    let asked = asking.ended_since(killed);
    assert!(failures(&asked).is_empty(), "{:?}", failures(&asked));
    assert!(!answered(&asked).contains("cp-3"));
    Ok(())
}

async fn all_of_the_answering_version_die(companion: bool) -> Result<()> {
    let (mut fleet, mut stack, asking) = two_and_one().await?;
    if !companion {
        stack.companion.kill_9();
    }
    let killed = Instant::now();
    let [one, two, ..] = fleet.peers.as_mut_slice() else { anyhow::bail!("too few peers") };
    tokio::join!(one.stop(), two.stop());
    let stopped = Instant::now();
    asking.for_a_while(EJECTIONS).await;
    let asked = asking.ended_since(killed);
    assert!(failures(&asked).is_empty(), "{:?}", failures(&asked));
    let later: Vec<_> = asked.into_iter().filter(|one| one.began > stopped).collect();
    assert_eq!(answered(&later), ["cp-3"].into());
    let slowest = later.iter().map(|one| one.ended - one.began).max().context("none")?;
    promise::ensure_kept("the slowest request ended", PROMISE, slowest)?;

    let back = Instant::now();
    for index in [0, 1] {
        fleet.peer(index)?.start_again().await?;
    }
    // Without the companion, Envoy finds out by itself. With it, 1.36 answered in the meantime,
    // and 1.35 has the majority again.
    only(&asking, &["cp-1", "cp-2"]).await?;
    let asked = asking.since(back);
    assert!(failures(&asked).is_empty(), "{:?}", failures(&asked));
    Ok(())
}

#[tokio::test]
async fn another_version_answers_within_a_second_if_the_answering_one_dies() -> Result<()> {
    all_of_the_answering_version_die(true).await
}

#[tokio::test]
async fn another_version_answers_within_a_second_while_no_companion_runs() -> Result<()> {
    all_of_the_answering_version_die(false).await
}

#[tokio::test]
async fn no_request_of_a_single_client_fails_either() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_35, Version::V1_36]).await?;
    let mut stack = stack(&fleet, None).await?;
    stack.companion.kill_9();
    let mut fleet = fleet;
    for index in [0, 1] {
        fleet.peer(index)?.stop().await;
    }
    let client = fleet.client(&stack.url(), Http::Two)?;
    let until = Instant::now() + EJECTIONS;
    while Instant::now() < until {
        let began = Instant::now();
        let who = asking::who(client.get(CONFIG_MAPS).await);
        assert_eq!(who, Ok("cp-3".to_owned()));
        promise::ensure_kept("the request ended", PROMISE, began.elapsed())?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
