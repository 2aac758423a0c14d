//! Clients that take as much as they can of what Envoy and the API servers share among clients
//! make no request of another client fail that would not fail at an API server too.
//!
//! ```text
//!   5 hostile clients, 8 victims  ─┬▶ an API server
//!                                  └▶ Envoy (load-balancer/envoy.yaml) ──▶ API servers
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, CannedEnd, Rules};
use harness::envoy::FROM_SERVERS;
use harness::fleet::{Fleet, TOKEN};
use harness::hostile::{Hostile, Kind, STREAMS, Target, failed_requests};
use harness::load_balancer::LoadBalancer;
use harness::stack::StackOptions;
use harness::wait;
use wire::client::Http;
use wire::raw::Raw;

/// A list without an end: it fills all buffers on its way.
const LIST: &str = "/api/v1/namespaces/large/configmaps";

/// What the victims ask for.
const PATH: &str = "/api/v1/namespaces";
const VICTIMS: usize = 8;

const HOSTILE: usize = 5;

/// So many that do not read make Envoy hold more than [`SMALL_HEAP`].
const UNREADING: usize = 10;

/// The load of other tests included, everything is as before within this time.
const DEADLINE: Duration = Duration::from_secs(30);

/// Until buffers of a gigabyte are full: this process decrypts all of it.
const FULL: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_clients_make_no_request_of_others_fail() -> Result<()> {
    let fleet = fleet().await?;
    let host = load_balancer(&fleet, Vec::new()).await?;
    // A fake server gives up nothing.
    for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::GivenUp) {
        // A stall of the machine makes requests fail as well, but not twice in a row.
        if let Err(error) = fail_no_more_than_straight(&fleet, &host, kind).await {
            println!("{kind:?}, once more: {error:#}");
            fail_no_more_than_straight(&fleet, &host, kind).await?;
        }
    }
    Ok(())
}

/// Fails if more requests of victims fail through Envoy than straight to a server, each time beside hostile
/// clients of a kind.
async fn fail_no_more_than_straight(fleet: &Fleet, host: &LoadBalancer, kind: Kind) -> Result<()> {
    let port = fleet.peers.first().context("no peer")?.port();
    let hostile = attack(fleet, kind, HOSTILE, port)?;
    let straight = failed(fleet, port).await?;
    drop(hostile);
    let hostile = attack(fleet, kind, HOSTILE, host.address().port())?;
    if kind == Kind::Unread {
        buffers_are_full(host).await?;
    }
    let failed = failed(fleet, host.address().port()).await?;
    drop(hostile);
    host.wait_idle(DEADLINE).await?;
    ensure!(failed.len() <= straight.len(), "{kind:?}: {failed:#?}, straight {straight:#?}");
    Ok(())
}

/// The heap of Envoy in the second test, instead of 2 GiB: less than the responses take that its
/// clients do not read.
const SMALL_HEAP: (&str, &str) =
    ("max_heap_size_bytes: 2147483648", "max_heap_size_bytes: 314572800");
const RESETS: &str = "envoy.overload_actions.reset_high_memory_stream.count";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn envoy_resets_unread_streams_before_requests_of_other_clients_fail() -> Result<()> {
    let fleet = fleet().await?;
    let host = load_balancer(&fleet, vec![SMALL_HEAP]).await?;
    let hostile = attack(&fleet, Kind::Unread, UNREADING, host.address().port())?;
    buffers_are_full(&host).await?;
    let failed = failed(&fleet, host.address().port()).await?;
    ensure!(failed.is_empty(), "{failed:#?}");
    wait::until("streams to be reset", DEADLINE, async || {
        let resets = host.envoy.stat(RESETS).await?.unwrap_or_default();
        ensure!(resets > 0, "none is reset; {} bytes", host.envoy.allocated_bytes().await?);
        anyhow::Ok(())
    })
    .await?;
    drop(hostile);
    host.wait_idle(DEADLINE).await
}

/// Starts two servers that deny invalid tokens, with a list that has no end.
async fn fleet() -> Result<Fleet> {
    let fleet = Fleet::start(&[Version::V1_36; 2]).await?;
    for peer in &fleet.peers {
        let body = b"{".to_vec();
        peer.answer_with(LIST, Canned { body, end: CannedEnd::Endless, ..Canned::default() });
        peer.set_rules(Rules { token: Some(TOKEN.to_owned()), ..Rules::default() });
    }
    Ok(fleet)
}

async fn load_balancer(
    fleet: &Fleet,
    replaced: Vec<(&'static str, &'static str)>,
) -> Result<LoadBalancer> {
    let options = StackOptions { replaced, token: TOKEN.to_owned(), ..fleet.stack_options()? };
    LoadBalancer::start(options, &[]).await
}

/// Starts hostile clients of a port.
fn attack(fleet: &Fleet, kind: Kind, clients: usize, port: u16) -> Result<Hostile> {
    let target = Target {
        raw: Raw::new(port, &fleet.pki().ca_pem(), None)?,
        token: TOKEN.to_owned(),
        large: LIST.to_owned(),
        streams: STREAMS,
    };
    Ok(Hostile::start(kind, &target, clients))
}

/// Has victims send requests to a port, and returns what became of those that fail.
async fn failed(fleet: &Fleet, port: u16) -> Result<Vec<String>> {
    let url = format!("https://127.0.0.1:{port}");
    let victims = (0..VICTIMS).map(|_| fleet.client(&url, Http::Two));
    Ok(failed_requests(&victims.collect::<Result<Vec<_>>>()?, PATH).await)
}

/// Waits until the servers send nothing more. Before, a failure would only show how fast this
/// process encrypts.
async fn buffers_are_full(host: &LoadBalancer) -> Result<()> {
    let pause = Duration::from_millis(500);
    host.envoy.wait_full(FROM_SERVERS, (32 << 20, 1 << 20), pause, FULL).await
}
