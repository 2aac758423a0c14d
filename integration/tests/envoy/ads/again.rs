//! A map that comes again.

use anyhow::{Result, ensure};
use harness::ads::{self, client, is_served};
use harness::manifests::POLICIES;
use harness::wait;
use wire::client::Client;

use super::DEADLINE;

/// The connections of the test: the kernel spreads them over the workers.
const CLIENTS: usize = 12;

/// Waits until every client, and so every worker, answers a request for the type like this.
async fn all_answer(clients: &[Client], status: u16) -> Result<()> {
    wait::until("the answer of all workers", DEADLINE, async || {
        for client in clients {
            let answer = client.get(POLICIES).await?;
            ensure!(answer.status == status, "{answer:?}");
        }
        anyhow::Ok(())
    })
    .await
}

/// Envoy does not configure the filter with bytes that a stream still holds: the worker would stay
/// with the map in between.
#[tokio::test]
async fn a_map_that_was_in_use_before_is_used_again_while_watches_go_on() -> Result<()> {
    let (mut fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    let (mut clients, mut watches) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let client = client(&fleet, &envoy).await?;
        is_served(&client).await?;
        watches.push(client.stream("/api/v1/pods?watch=true").await?);
        clients.push(client);
    }
    for _ in 0..2 {
        fleet.peer(1)?.set_ready(false);
        all_answer(&clients, 503).await?;
        fleet.peer(1)?.set_ready(true);
        all_answer(&clients, 200).await?;
    }
    assert!(watches.iter().all(|watch| watch.status() == 200));
    Ok(())
}
