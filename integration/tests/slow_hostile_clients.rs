//! Hostile clients of real API servers: what they do to others through Envoy and straight to a
//! server, what memory they make Envoy hold, and what is left of them.
//!
//! ```text
//!   1 or 50 hostile clients, 8 victims ─┬▶ an API server
//!                                       └▶ Envoy (load-balancer/envoy.yaml) ──▶ API servers
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::envoy::FROM_SERVERS;
use harness::hostile::{Hostile, Kind, STREAMS, Target, failed_requests};
use harness::large_list;
use harness::load_balancer::LoadBalancer;
use harness::report::Entry;
use harness::site::stack_options;
use harness::skew::NEWER;
use harness::wait;
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::{Client, Http};
use wire::raw::Raw;

/// The user of the hostile clients. Others have flows of their own at the API servers (API
/// Priority and Fairness).
const HOSTILE: User = User::Plain;
const VICTIM: User = User::Scheduler;

const VICTIMS: usize = 8;

/// What the victims ask for.
const PATH: &str = "/api/v1/namespaces";

/// After this time nothing is left of a hostile client.
const AS_BEFORE: Duration = Duration::from_secs(5);

/// What Envoy's memory may grow by for each unread response, in bytes: the window of its stream, and
/// what is around it.
const UNREAD_BYTES: u64 = 1200 << 10;
/// What it may grow by for each hostile client whatever it does, in bytes.
const CLIENT_BYTES: u64 = 8 << 20;
/// What it may grow by in all, in bytes: at half of the shipped `max_heap_size_bytes` Envoy begins to
/// reset the streams that hold most (`envoy.overload_actions.reset_high_memory_stream`).
const RESET_BYTES: u64 = 1 << 30;

#[tokio::test]
async fn hostile_clients_do_others_no_more_harm_than_straight_to_a_server() -> Result<()> {
    let servers = ["a", "b"].map(|name| ServerOptions::new(name, NEWER));
    let plane = ControlPlane::start_with(servers.into()).await?;
    prepare(&plane).await?;
    let host = LoadBalancer::start(stack_options(&plane, "stack")?, &[]).await?;
    let mut entry = Entry::begin("slow_hostile_clients");
    for clients in [1, 50] {
        for kind in Kind::ALL {
            let figures = judged(&plane, &host, kind, clients).await;
            let figures = figures.with_context(|| format!("{clients} clients, {kind:?}"))?;
            entry.set(&format!("{kind:?}{clients}"), figures);
        }
    }
    entry.passed()
}

/// Attacks a server and Envoy, and returns the figures. Fails if Envoy does worse.
async fn judged(
    plane: &ControlPlane,
    host: &LoadBalancer,
    kind: Kind,
    clients: usize,
) -> Result<Value> {
    let (straight, hostile) = attacked(plane, kind, clients, plane.server(0)?.port()).await?;
    drop(hostile);
    let before = host.envoy.allocated_bytes().await?;
    let (failed, hostile) = attacked(plane, kind, clients, host.address().port()).await?;
    let held = host.envoy.allocated_bytes().await?.saturating_sub(before);
    drop(hostile);
    host.wait_idle(AS_BEFORE).await?;
    ensure!(failed.len() <= straight.len(), "{failed:#?}, straight to a server {straight:#?}");
    let most = RESET_BYTES.min(u64::try_from(clients)? * most_bytes(kind));
    ensure!(held <= most, "{held} bytes more, of at most {most}");
    let (after, _) = attacked(plane, kind, 0, host.address().port()).await?;
    ensure!(after.is_empty(), "afterwards {after:#?}");
    Ok(json!({ "failed": failed.len(), "failedStraight": straight.len(), "heldMiB": held >> 20 }))
}

/// Returns by how much a client may make Envoy's memory grow, in bytes.
fn most_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Unread | Kind::GivenUp => {
            CLIENT_BYTES + u64::try_from(STREAMS).unwrap_or(u64::MAX) * UNREAD_BYTES
        }
        _ => CLIENT_BYTES,
    }
}

/// Creates the large list, and lets the hostile user read it and write beside it.
async fn prepare(plane: &ControlPlane) -> Result<()> {
    let admin = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    large_list::create(&admin).await?;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let name = json!({ "name": "hostile" });
    let rules = json!([
        { "apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["list", "watch", "create"] },
    ]);
    admin
        .post(&format!("{rbac}/clusterroles"), &json!({ "metadata": name, "rules": rules }))
        .await?
        .ok()?;
    let binding = json!({
        "metadata": name,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hostile" },
        "subjects": [{ "kind": "User", "name": HOSTILE.name() }],
    });
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).await?.ok()?;
    let hostile = plane.client(&plane.server(0)?.url(), HOSTILE, Http::Two)?;
    wait::until("the hostile user to be allowed to list", Duration::from_secs(30), async || {
        let list = hostile.request(Method::GET, &format!("{}?limit=1", large_list::PATH));
        hostile.send(list).await?.ok().map(drop)
    })
    .await
}

/// Has hostile clients and victims send requests to a port, and returns how many of the victims'
/// fail.
async fn attacked(
    plane: &ControlPlane,
    kind: Kind,
    clients: usize,
    port: u16,
) -> Result<(Vec<String>, Hostile)> {
    let url = format!("https://127.0.0.1:{port}");
    let victims = (0..VICTIMS).map(|_| plane.client(&url, VICTIM, Http::Two));
    let victims: Vec<Client> = victims.collect::<Result<_>>()?;
    let hostile = Hostile::start(kind, &target(plane, port, large_list::PATH, STREAMS)?, clients);
    Ok((failed_requests(&victims, PATH).await, hostile))
}

fn target(plane: &ControlPlane, port: u16, path: &str, streams: usize) -> Result<Target> {
    Ok(Target {
        raw: Raw::new(port, &plane.pki().ca_pem(), None)?,
        token: HOSTILE.token().context("the hostile user has no token")?.to_owned(),
        large: path.to_owned(),
        streams,
    })
}

/// All responses that are not read.
const UNREAD: usize = 1_000;

/// How many are open. API servers let one user have fewer lists at once than the clients ask for (API
/// Priority and Fairness).
const OPEN: &str = "cluster.kube-apiserver.upstream_rq_active";

/// Buffers are full if so little time brings nothing more.
const SETTLED: Duration = Duration::from_secs(2);
/// They are full within this time.
const FULL: Duration = Duration::from_secs(120);

/// What sends a watch 36 MB at once: all objects, and then their changes.
const WATCH: &str = "/api/v1/namespaces/large/configmaps?watch=true&resourceVersion=0";

#[tokio::test]
async fn a_thousand_unread_responses_hold_as_much_memory_of_one_client_as_of_fifty() -> Result<()> {
    let servers = ["a", "b"].map(|name| ServerOptions::new(name, NEWER));
    let plane = ControlPlane::start_with(servers.into()).await?;
    prepare(&plane).await?;
    let host = LoadBalancer::start(stack_options(&plane, "stack")?, &[]).await?;
    let port = host.address().port();
    let mut entry = Entry::begin("slow_unread_memory");
    let all = u64::try_from(UNREAD)?;
    for (name, path, least) in [("lists", large_list::PATH, all / 2), ("watches", WATCH, all)] {
        // One client needs ten connections for so many.
        for (clients, connections) in [(1, UNREAD / STREAMS), (50, 50)] {
            let before = host.envoy.allocated_bytes().await?;
            let received = host.envoy.stat(FROM_SERVERS).await?.unwrap_or_default();
            let target = target(&plane, port, path, UNREAD / connections)?;
            let hostile = Hostile::start(Kind::Unread, &target, connections);
            let bytes = (received + (8 << 20), 1 << 20);
            host.envoy.wait_full(FROM_SERVERS, bytes, SETTLED, FULL).await?;
            let held = host.envoy.allocated_bytes().await?.saturating_sub(before);
            let open = host.envoy.stat(OPEN).await?.unwrap_or_default();
            ensure!(open >= least, "{clients} clients, {name}: only {open} are open");
            let each = held / open;
            ensure!(each <= UNREAD_BYTES, "{clients} clients, {name}: {each} bytes each of {open}");
            entry.set(&format!("{name}Of{clients}ClientsOpen"), open);
            entry.set(&format!("{name}Of{clients}ClientsMiB"), held >> 20);
            drop(hostile);
            host.wait_idle(AS_BEFORE).await?;
        }
    }
    entry.passed()
}
