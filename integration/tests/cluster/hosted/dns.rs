//! Servers that the DNS names, as the host's `/etc/resolv.conf` asks it: SRV records whose targets
//! have IPv4 or IPv6 addresses, then AAAA records alone. The DNS server stops meanwhile.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use discovery_map::{DiscoveryMap, PeerEntry, PeerState};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::load::{Load, Operation};
use harness::namespace::{self, pod_address, pod_address_v6};
use harness::site::stack_options;
use harness::skew::NEWER;
use harness::stack::Stack;
use harness::wait;
use serde_json::json;
use wire::client::Http;

use super::dns_server::{DnsServer, a, srv};
use super::{
    DEADLINE, OBJECT_PACE, OBJECTS, OUTAGE, common_failed, has_done, in_rotation, source_is,
};

const NAME: &str = "api.hosted.example";
const FOUR: &str = "four.api.hosted.example";
const SIX: &str = "six.api.hosted.example";

#[test]
fn servers_that_the_dns_names_serve_by_ipv4_and_ipv6_while_the_dns_server_is_away() -> Result<()> {
    let test = "servers_that_the_dns_names_serve_by_ipv4_and_ipv6_while_the_dns_server_is_away";
    namespace::run_test(module_path!(), test, &[], named())
}

async fn named() -> Result<()> {
    namespace::replace_file("/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    let mut plane = ControlPlane::start_with(vec![server("four"), server("six")]).await?;
    let ports = [plane.server(0)?.port(), plane.server(1)?.port()];
    let four = SocketAddr::new(pod_address(11), ports[0]);
    let six = SocketAddr::new(pod_address_v6(12), ports[1]);
    let mut dns = DnsServer::start_at("127.0.0.1:53");
    let services = vec![srv(&format!("{FOUR}."), ports[0]), srv(&format!("{SIX}."), ports[1])];
    dns.set([(NAME, services), (FOUR, vec![a(four.ip())]), (SIX, vec![a(six.ip())])]);
    let mut options = stack_options(&plane, "stack")?;
    options.peer_source = Some(json!({ "dns": { "name": NAME, "recordType": "SRV" } }));
    let stack = Stack::start(options).await?;
    for address in [four, six] {
        in_rotation(&stack, address).await?;
    }
    let mut load = Load::default();
    let client = plane.client(&stack.url(), User::Admin, Http::Two)?;
    let over_h1 = plane.client(&stack.url(), User::Admin, Http::One)?;
    load.objects(client.clone(), "over-h2", OBJECT_PACE);
    load.objects(over_h1, "over-h1", OBJECT_PACE);
    has_done(&load, &OBJECTS).await?;

    dns.stop();
    source_is(&stack, "failing").await?;
    tokio::time::sleep(OUTAGE).await;
    has_done(&load, &OBJECTS).await?;
    dns.start_again();
    source_is(&stack, "fresh").await?;
    let journal = load.finish().await?;
    let failed = common_failed(&journal, |_: &Operation| false);
    ensure!(failed.is_empty(), "{failed:#?}");

    // The other one alone, by its IPv6 address alone.
    plane.server_mut(0)?.kill_9();
    let mut options = stack.options().clone();
    let source = json!({ "name": SIX, "recordType": "AAAA", "port": ports[1] });
    options.peer_source = Some(json!({ "dns": source }));
    stack.companion.write_config(&options.companion_config(stack.companion.port())?)?;
    let name = format!("fd00-77-0-0-0-0-0-c-{}", ports[1]);
    wait::until("another name", DEADLINE, async || {
        let peers = stack.companion.json("/v1/peers").await?;
        ensure!(peers.pointer("/0/name") == Some(&json!(name)), "{peers}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    // Earlier maps have its address, too: those of its old name, and one in which it was not read yet.
    let serves = |peer: &PeerEntry| peer.name == name && peer.state == PeerState::Serving;
    let alone =
        |map: &DiscoveryMap| map.rotation == [six.to_string()] && map.peers.iter().any(serves);
    stack.wait_for_map("one peer", alone).await?;
    client.get("/api/v1/namespaces").await?.ok()?;
    Ok(())
}

/// It listens at every address of both families.
fn server(name: &str) -> ServerOptions {
    ServerOptions::new(name, NEWER)
        .argument("--bind-address=::")
        .argument("--advertise-address=10.77.0.1")
}
