//! The control plane's own `default/kubernetes`, read through the peers: kube-apiservers write their
//! addresses there and lease them. One dies and another comes; nobody edits anything.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, KUBERNETES_SLICE, ServerOptions, User, addresses_in};
use harness::namespace::{self, pod_address};
use harness::site::stack_options;
use harness::skew::NEWER;
use harness::stack::Stack;
use harness::wait;
use serde_json::{Value, json};
use wire::client::Http;

use super::{DEADLINE, source_is};

/// All servers need the same: the endpoints of a Service have one port.
const PORT: u16 = 6443;

#[test]
fn servers_come_and_go_by_the_leases_that_they_have_in_their_own_control_plane() -> Result<()> {
    let test = "servers_come_and_go_by_the_leases_that_they_have_in_their_own_control_plane";
    namespace::run_test(module_path!(), test, &[], leased())
}

async fn leased() -> Result<()> {
    // It is none of the peers: the harness reaches the others by no address.
    let first = format!("--advertise-address={}", pod_address(1));
    let first = ServerOptions::new("first", NEWER).argument(first);
    let mut plane = ControlPlane::start_with(vec![first]).await?;
    for number in [21, 22] {
        plane.add(server(number))?;
    }
    leases_are(&plane, &[21, 22]).await?;
    let mut options = stack_options(&plane, "stack")?;
    options.peer_source = Some(json!({ "endpointSlices": {
        "namespace": "default",
        "service": "kubernetes",
        "throughPeers": [format!("{}:{PORT}", pod_address(21))],
    } }));
    let stack = Stack::start(options).await?;
    peers_are(&stack, &["21 serving", "22 serving"]).await?;

    // The one that the companion was told of.
    plane.server_mut(1)?.kill_9();
    peers_are(&stack, &["22 serving", "21 left"]).await?;
    plane.add(server(23))?;
    leases_are(&plane, &[22, 23]).await?;
    peers_are(&stack, &["22 serving", "23 serving", "21 left"]).await?;
    source_is(&stack, "fresh").await?;
    let client = plane.client(&stack.url(), User::Admin, Http::Two)?;
    client.get("/api/v1/namespaces").await?.ok()?;
    Ok(())
}

fn server(number: u8) -> ServerOptions {
    let address = pod_address(number);
    ServerOptions::new(format!("leased-{number}"), NEWER)
        .argument(format!("--bind-address={address}"))
        .argument(format!("--advertise-address={address}"))
        .argument(format!("--secure-port={PORT}"))
        .argument("--endpoint-reconciler-type=lease")
}

/// Waits until these servers have leases, by the ends of their addresses. A server may take longer to
/// start than [`peers_are`] waits.
async fn leases_are(plane: &ControlPlane, numbers: &[u8]) -> Result<()> {
    let expected: BTreeSet<_> =
        numbers.iter().map(|number| pod_address(*number).to_string()).collect();
    let first = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    wait::until("the leases", DEADLINE * 2, async || {
        let slice = first.get(KUBERNETES_SLICE).await?.ok()?.json()?;
        ensure!(addresses_in(&slice)? == expected, "{slice}");
        Ok(())
    })
    .await
}

/// Waits until the peers are these, each by the end of its address and its state.
async fn peers_are(stack: &Stack, expected: &[&str]) -> Result<()> {
    wait::until("the peers", DEADLINE, async || {
        let peers = stack.companion.json("/v1/peers").await?;
        let peers = peers.as_array().context("a list")?;
        let seen = peers.iter().map(shown).collect::<Result<Vec<_>>>()?;
        ensure!(seen == expected, "{peers:?}");
        Ok(())
    })
    .await
}

fn shown(peer: &Value) -> Result<String> {
    let name = peer.get("name").and_then(Value::as_str).context("a name")?;
    let number = name.strip_prefix("10-77-0-").and_then(|rest| rest.strip_suffix("-6443"));
    let left = peer.get("left") == Some(&json!(true));
    let state = peer.get("state").and_then(Value::as_str).context("a state")?;
    Ok(format!("{} {}", number.unwrap_or(name), if left { "left" } else { state }))
}
