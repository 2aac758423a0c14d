//! The number of an attempt, which chooses the cluster: only Envoy says it.

use fake_apiserver::replay::PEER_HEADER;
use reqwest::{Method, StatusCode};

use super::*;

const HEADER: &str = "x-envoy-attempt-count";

#[tokio::test]
async fn a_client_that_claims_a_number_gets_the_same_servers() -> Result<()> {
    let (fleet, stack, _asking) = two_and_one().await?;
    for client in clients(&fleet, &stack)? {
        for _ in 0..12 {
            let request = client.request(Method::GET, CONFIG_MAPS).header(HEADER, "5");
            let who = asking::who(client.send(request).await);
            assert!(matches!(who.as_deref(), Ok("cp-1" | "cp-2")), "{who:?}");
        }
    }

    Ok(())
}

#[tokio::test]
async fn no_server_sees_the_number_of_a_first_attempt() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let captures = fleet.captures().await?;
    let stack = Stack::start_with_map(fleet.captured_stack_options(&captures)?).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    // With a connection to the server, no request needs a second attempt, however busy the machine.
    client.get("/api/v1/nodes").await?;
    let request = client.request(Method::GET, "/api/v1/nodes?captured").header(HEADER, "5");
    client.send(request).await?;
    let arrived = captures.iter().flat_map(|capture| capture.requests()).collect::<Vec<_>>();
    let of_clients = arrived.iter().filter(|one| one.path.ends_with(b"?captured"));
    assert_eq!(of_clients.clone().count(), 1);
    for request in of_clients {
        assert!(request.value(HEADER).is_none(), "{request:?}");
    }
    Ok(())
}

/// With `retry_priority`, Envoy 1.40 crashed here: an attempt that had chosen among the levels of
/// the default cluster was followed by one in the rotation, which has a single level.
#[tokio::test]
async fn a_doubtful_404_of_a_later_level_does_not_crash_envoy() -> Result<()> {
    let (mut fleet, mut stack, asking) = two_and_one().await?;
    drop(asking);
    // The map takes the type for one that every server serves, and nobody tells Envoy otherwise.
    stack.companion.kill_9();
    for index in [0, 1] {
        fleet.peer(index)?.stop().await;
    }
    fleet.peer(2)?.drop_resource("", "v1", "secrets")?;
    for client in clients(&fleet, &stack)? {
        let until = Instant::now() + EJECTIONS / 4;
        while Instant::now() < until {
            let answer = client.get("/api/v1/namespaces/default/secrets").await?;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
            let answer = client.get(CONFIG_MAPS).await?;
            assert_eq!(answer.header(PEER_HEADER), Some("cp-3"), "{answer:?}");
        }
    }
    Ok(())
}

/// A set has no other cluster to go to: its retries wait for Envoy to eject the servers that are
/// gone. Envoy must not keep that to itself for the second in which it would merge updates.
#[tokio::test]
async fn a_set_loses_few_requests_when_its_answering_version_dies() -> Result<()> {
    const SECRETS: &str = "/api/v1/namespaces/default/secrets?limit=1";
    let versions = [Version::V1_35, Version::V1_35, Version::V1_36, Version::V1_35];
    let mut fleet = Fleet::start(&versions).await?;
    fleet.peer(3)?.drop_resource("", "v1", "secrets")?;
    let mut stack = stack(&fleet, None).await?;
    let clients = clients(&fleet, &stack)?;
    stack.companion.kill_9();
    for index in [0, 1] {
        fleet.peer(index)?.stop().await;
    }
    let (mut asked, mut failed, until) = (0, 0, Instant::now() + EJECTIONS);
    while Instant::now() < until {
        for client in &clients {
            let who = asking::who(client.get(SECRETS).await);
            assert!(who.is_err() || who.as_deref() == Ok("cp-3"), "{who:?}");
            asked += 1;
            failed += u32::from(who.is_err());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{failed} of {asked} requests failed");
    assert!(failed * 20 < asked, "{failed} of {asked} requests failed");
    Ok(())
}
