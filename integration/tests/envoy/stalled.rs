//! A client that does not read what it asked for stops its own requests, and nobody else's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, CannedEnd};
use futures_util::future::join_all;
use harness::envoy::FROM_SERVERS;
use harness::fleet::Fleet;
use harness::stack::Stack;
use wire::client::Http;

/// A list without an end: it fills all buffers on its way.
const LIST: &str = "/api/v1/namespaces/large/configmaps";

/// More than all buffers of one stream have.
const MORE_BYTES: usize = 32 << 20;

/// So many lists are not read.
const STALLED: usize = 72;

/// Other clients, and the requests of each.
const OTHERS: usize = 8;
const REQUESTS: usize = 15;
const PATH: &str = "/api/v1/namespaces";

/// A request has failed after this time.
const PATIENCE: Duration = Duration::from_secs(5);

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn clients_that_do_not_read_stall_nobody_else() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36; 2]).await?;
    for peer in &fleet.peers {
        peer.answer_with(LIST, Canned { end: CannedEnd::Endless, ..Canned::default() });
    }
    let stack = fleet.stack().await?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(fleet.client(&stack.url(), Http::Two)?.stream(LIST).await?);
    }
    settled(&stack).await?;
    let failed = failed(&fleet, &stack.url()).await?;
    ensure!(failed == 0, "{failed} of {} requests of others failed", OTHERS * REQUESTS);
    // They were not ended instead: who reads gets more.
    let mut first = stalled.swap_remove(0);
    let mut read = 0;
    while read < MORE_BYTES {
        read += first.chunk().await?.context("the list has ended")?.len();
    }
    Ok(())
}

/// Waits until no more bytes come from the servers, which the companion asks, too.
async fn settled(stack: &Stack) -> Result<()> {
    stack.envoy.wait_full(FROM_SERVERS, (0, 1 << 20), Duration::from_millis(500), DEADLINE).await
}

/// How many requests of other clients are not answered in time.
async fn failed(fleet: &Fleet, url: &str) -> Result<usize> {
    let clients = (0..OTHERS).map(|_| fleet.client(url, Http::Two)).collect::<Result<Vec<_>>>()?;
    let each = clients.iter().map(async |client| {
        let mut failed = 0;
        for _ in 0..REQUESTS {
            let answer = tokio::time::timeout(PATIENCE, client.get(PATH)).await;
            let served = answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200));
            failed += usize::from(!served);
        }
        failed
    });
    Ok(join_all(each).await.into_iter().sum())
}
