//! A hosted control plane: its API servers are pods of a hosting cluster, and an
//! upgrade replaces all of them at once (`maxSurge: 100%`). The companion follows
//! their EndpointSlices in a real kube-apiserver, and nobody edits anything.
//!
//! ```text
//!   clients ──▶ Envoy ──▶ kube-apiserver pods (older ▶ newer ▶ older), new addresses each time
//!                 ▲
//!             companion ──watch EndpointSlices──▶ kube-apiserver of the hosting cluster
//! ```
//!
//! Meanwhile the hosting cluster's API stops and comes back, the Service is empty
//! for a while, and a server of another control plane takes the address of a pod.
//! In the end, the types of the servers that left are forgotten, and not before.
//!
//! With the feature `slow`, outages last a minute, the hosting cluster's API hangs as well, and
//! `forgetAfter` passes in full.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::companion::Companion;
use harness::control_plane::{
    ControlPlane, ControllerManager, ControllerManagerOptions, ServerOptions, User,
};
use harness::load::{Journal, Load, Operation};
use harness::manifests::TAINT_RULES;
use harness::namespace;
use harness::promise;
use harness::report::Entry;
use harness::site::stack_options;
use harness::skew::{NEWER, OLDER, only_in, without};
use harness::stack::Stack;
use harness::wait;
use serde_json::{Value, json};
use wire::client::{Client, Http};

mod dns;
#[cfg(test)]
#[path = "../../../companion/tests/running/dns_server.rs"]
mod dns_server;
mod faults;
mod in_cluster;
mod own;
pub mod pods;

use super::garbage_collection::families::{self, CHILDREN, Family};
use pods::{NAMESPACE, Pods, SERVICE};

const SERVERS: usize = 3;
const FAMILIES: usize = 5;

/// From the moment at which a server says that it is ready until it is in rotation.
const PROMISE: Duration = Duration::from_secs(5);

const DEADLINE: Duration = Duration::from_secs(60);
const OBJECT_PACE: Duration = Duration::from_millis(50);
const PROBE_PACE: Duration = Duration::from_millis(50);
/// How long an API or a DNS server is away, at least.
const OUTAGE: Duration = Duration::from_secs(if cfg!(feature = "slow") { 60 } else { 1 });

/// The companion's `forgetAfter`. The short form sets it to less when all else is done.
const FORGET_AFTER: Duration =
    Duration::from_secs(if cfg!(feature = "slow") { 4 * 60 } else { 3600 });

/// What clients do with objects.
const OBJECTS: [&str; 5] = ["create", "get", "list", "patch", "delete"];

const UNKNOWN: &str = "/apis/nothing.example/v1/things";

#[test]
fn all_servers_of_a_hosted_control_plane_are_replaced_and_clients_do_not_notice() -> Result<()> {
    let test = "all_servers_of_a_hosted_control_plane_are_replaced_and_clients_do_not_notice";
    namespace::run_test(module_path!(), test, &[], replaced())
}

async fn replaced() -> Result<()> {
    let mut entry = Entry::begin("cluster_hosted");
    let mut site = Hosted::start().await?;
    let load = site.load()?;
    works(&load).await?;

    // As in an upgrade: the controller manager follows when the servers are upgraded.
    let older = site.collector(OLDER).await?;
    let known_from = site.replace("newer", NEWER, Leaving::InTurn).await?;
    works(&load).await?;
    drop(older);
    let collector = site.collector(NEWER).await?;
    let families = site.families().await?;
    site.outlast_the_hosting_api().await?;
    works(&load).await?;
    if cfg!(feature = "slow") {
        site.outlast_a_hanging_hosting_api().await?;
        works(&load).await?;
    }
    site.replace("again", OLDER, Leaving::AtOnce).await?;
    let left = site.stops.last().context("servers that stopped")?.0;
    works(&load).await?;
    let admin = site.client(Http::Two)?;
    for family in &families {
        family.delete_second_owner(&admin).await?;
    }
    let skewed = admin.get(TAINT_RULES).await?;
    ensure!(skewed.status == 503, "{skewed:?}");
    site.outlast_an_empty_service().await?;
    works(&load).await?;
    site.outlast_a_foreign_server().await?;
    works(&load).await?;

    let children = families::count(&admin, &families).await?;
    drop(collector);
    let forgotten_from = site.forget(left).await?;
    works(&load).await?;
    is_told_the_truth(&load).await?;
    let journal = load.finish().await?;
    let stopping =
        |o: &Operation| site.stops.iter().any(|(from, to)| o.started <= *to && o.ended >= *from);
    let wrong = journal.operations(|o| {
        let remembered = o.started >= known_from && o.ended <= forgotten_from;
        let known = is_common(o) || (o.label == "skewed" && remembered);
        known && o.is_type_level_404()
    });
    let failed = common_failed(&journal, stopping);
    let untrue = journal
        .operations(|o| o.label == "unknown" && !o.is_type_level_404() && !o.is_unavailable());
    entry.set("commonRequests", journal.count(is_common));
    entry.set("commonFailed", failed.len());
    entry.set("wrong404s", wrong.len());
    let unavailable = |o: &Operation| {
        o.label == "skewed" && o.started >= left && o.ended <= forgotten_from && o.is_unavailable()
    };
    entry.set("unavailableWhileRemembered", journal.count(unavailable));
    entry.set("childrenOfLivingOwnersDeleted", FAMILIES * CHILDREN * 2 - children);
    ensure!(children == FAMILIES * CHILDREN * 2, "only {children} children of living owners");
    entry.set("true404s", journal.count(is_true_404));
    entry.set_ms("slowestInRotationMs", site.slowest);
    ensure!(wrong.is_empty(), "wrong 404s: {wrong:#?}");
    ensure!(failed.is_empty(), "failed: {failed:#?}");
    ensure!(untrue.is_empty(), "no 404: {untrue:#?}");
    promise::ensure_kept("a ready server was in rotation", PROMISE, site.slowest)?;
    entry.passed()
}

/// How the old servers leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// One after the other, when all new ones are in rotation.
    InTurn,
    /// All at once, as soon as all new ones say that they are ready: the companion may not know
    /// yet that they are.
    AtOnce,
}

struct Hosted {
    // The first field: Envoy goes before the servers.
    stack: Stack,
    plane: ControlPlane,
    hosting: ControlPlane,
    pods: Pods,
    /// The pods that run: their names, and the places of their servers in `plane`.
    running: Vec<(String, usize)>,
    /// From the signal to the end of each server that was stopped.
    stops: Vec<(Instant, Instant)>,
    /// The longest time from ready to in rotation.
    slowest: Duration,
}

impl Hosted {
    async fn start() -> Result<Self> {
        let servers = (0..SERVERS).map(|number| older(&format!("older-{number}")));
        let servers = servers.collect::<Result<_>>()?;
        let (hosting, plane) = tokio::try_join!(
            ControlPlane::start_with(vec![server("hosting", NEWER)]),
            ControlPlane::start_with(servers),
        )?;
        let mut pods = Pods::create(&hosting).await?;
        let mut running = Vec::new();
        for (place, server) in plane.servers().iter().enumerate() {
            let address = pods.new_address(server.port());
            pods.add(server.name(), address).await?;
            running.push((server.name().to_owned(), place));
        }
        let mut options = stack_options(&plane, "stack")?;
        options.answering_version = None;
        options.companion = json!({ "forgetAfter": format!("{}s", FORGET_AFTER.as_secs()) });
        let kubeconfig = hosting.kubeconfig(&hosting.server(0)?.url(), User::Admin)?;
        options.peer_source = Some(json!({ "endpointSlices": {
            "namespace": NAMESPACE,
            "service": SERVICE,
            "port": "https",
            "kubeconfigFile": kubeconfig,
        } }));
        let stack = Stack::start(options).await?;
        let (stops, slowest) = (Vec::new(), Duration::ZERO);
        Ok(Self { stack, plane, hosting, pods, running, stops, slowest })
    }

    fn client(&self, http: Http) -> Result<Client> {
        self.plane.client(&self.stack.url(), User::Admin, http)
    }

    /// Starts a garbage collector that reaches the servers through Envoy.
    async fn collector(&self, version: Version) -> Result<ControllerManager> {
        let options = ControllerManagerOptions {
            version,
            url: self.stack.url(),
            user: User::ControllerManager,
            controllers: vec!["garbage-collector-controller".to_owned()],
            arguments: vec!["--kube-api-qps=500".to_owned(), "--kube-api-burst=500".to_owned()],
        };
        self.plane.controller_manager(&options).await
    }

    /// Creates owners of the newer type, and their children, when the collector watches it.
    async fn families(&self) -> Result<Vec<Family>> {
        let admin = self.client(Http::Two)?;
        families::watched(&admin, "hosted").await?;
        let mut families = Vec::new();
        for number in 0..FAMILIES {
            families.push(Family::create(&admin, &format!("family-{number}")).await?);
        }
        Ok(families)
    }

    fn load(&self) -> Result<Load> {
        let skewed = only_in(NEWER, OLDER)?;
        let client = |http| self.client(http);
        let mut load = Load::default();
        load.objects(client(Http::Two)?, "over-h2", OBJECT_PACE);
        load.objects(client(Http::One)?, "over-h1", OBJECT_PACE);
        load.watcher(client(Http::Two)?);
        load.probe(client(Http::Two)?, "skewed", &skewed, PROBE_PACE);
        load.probe(client(Http::Two)?, "unknown", UNKNOWN, PROBE_PACE);
        Ok(load)
    }

    /// Starts as many pods of a version as there are, and lets the old ones go. Returns when the
    /// first of the new ones was in rotation.
    async fn replace(&mut self, name: &str, version: Version, leaving: Leaving) -> Result<Instant> {
        let mut started = Vec::new();
        for number in 0..SERVERS {
            let pod = format!("{name}-{number}");
            let options = if version == OLDER { older(&pod)? } else { server(&pod, version) };
            let port = self.plane.add(options)?.port();
            let address = self.pods.new_address(port);
            self.pods.add(&pod, address).await?;
            started.push((pod, self.plane.servers().len() - 1, address));
        }
        let mut first = None;
        for (_, place, address) in &started {
            self.plane.server_mut(*place)?.wait_ready().await?;
            if leaving == Leaving::InTurn {
                let ready = Instant::now();
                in_rotation(&self.stack, *address).await?;
                self.slowest = self.slowest.max(ready.elapsed());
            }
            first.get_or_insert_with(Instant::now);
        }
        let ready = Instant::now();
        let new = started.iter().map(|(pod, place, _)| (pod.clone(), *place)).collect();
        let old = std::mem::replace(&mut self.running, new);
        match leaving {
            Leaving::InTurn => {
                for pod in old {
                    self.stops.push(leave(&mut self.pods, &mut self.plane, &[pod]).await?);
                }
            }
            Leaving::AtOnce => {
                let in_rotation = async {
                    for (_, _, address) in &started {
                        in_rotation(&self.stack, *address).await?;
                    }
                    Ok(ready.elapsed())
                };
                let left = leave(&mut self.pods, &mut self.plane, &old);
                let (stop, elapsed) = tokio::try_join!(left, in_rotation)?;
                self.stops.push(stop);
                self.slowest = self.slowest.max(elapsed);
            }
        }
        first.context("no server was started")
    }
}

/// Removes pods from the Service and stops them, as the hosting cluster does. Returns when that began and
/// ended.
async fn leave(
    pods: &mut Pods,
    plane: &mut ControlPlane,
    leaving: &[(String, usize)],
) -> Result<(Instant, Instant)> {
    let begun = Instant::now();
    for (pod, _) in leaving {
        pods.remove(pod).await?;
    }
    let places: Vec<_> = leaving.iter().map(|(_, place)| *place).collect();
    plane.stop_together(&places).await?;
    Ok((begun, Instant::now()))
}

/// An older server certainly lacks the type of the families.
fn older(name: &str) -> Result<ServerOptions> {
    without(server(name, OLDER), &[TAINT_RULES])
}

/// It listens at every address of the namespace.
fn server(name: &str, version: Version) -> ServerOptions {
    ServerOptions::new(name, version)
        .argument("--bind-address=0.0.0.0")
        .argument("--advertise-address=10.77.0.1")
        .argument("--shutdown-watch-termination-grace-period=1s")
}

/// Requests for types that all servers have, after all retries.
fn is_common(operation: &Operation) -> bool {
    !["skewed", "unknown", "watch-refused"].contains(&operation.label)
}

/// Returns the common requests that failed, but for those that `stopping` servers reset.
fn common_failed(journal: &Journal, stopping: impl Fn(&Operation) -> bool) -> Vec<Operation> {
    journal.operations(|o| is_common(o) && !o.is_ok() && !(o.is_reset() && stopping(o)))
}

async fn in_rotation(stack: &Stack, address: SocketAddr) -> Result<()> {
    let address = address.to_string();
    let what = format!("{address} in rotation");
    stack.wait_for_map(&what, |map| map.rotation.contains(&address)).await
}

async fn source_is(stack: &Stack, state: &str) -> Result<()> {
    source_reports(&stack.companion, state, "").await
}

/// Waits until the source has this state, and its last error this text. On a busy machine, it may
/// fail for another reason first.
pub async fn source_reports(companion: &Companion, state: &str, error: &str) -> Result<()> {
    wait::until("the source's state", DEADLINE, async || {
        let sources = companion.json("/v1/sources").await?;
        let text = |pointer| sources.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        ensure!(text("/0/state") == state && text("/0/lastError").contains(error), "{sources}");
        Ok(())
    })
    .await
}

/// Waits until every client has done something more.
async fn works(load: &Load) -> Result<()> {
    has_done(load, &[&OBJECTS[..], &["skewed", "unknown"]].concat()).await
}

/// A 404 for a type that no server ever had.
fn is_true_404(operation: &Operation) -> bool {
    operation.label == "unknown" && operation.is_type_level_404()
}

/// Waits until a 404 passes, because everything is known. Each of Envoy's workers gets a map by
/// itself, and while a peer is late to answer, nothing is proved.
async fn is_told_the_truth(load: &Load) -> Result<()> {
    wait::until("a true 404", DEADLINE, async || {
        ensure!(load.journal().count(is_true_404) > 0, "no 404 passed");
        Ok(())
    })
    .await
}

/// Waits until more of each of these was done.
async fn has_done(load: &Load, labels: &[&str]) -> Result<()> {
    let since = Instant::now();
    wait::until("work of all clients", DEADLINE, async || {
        for &label in labels {
            let done = load.journal().count(|o| o.label == label && o.started > since);
            ensure!(done >= 4, "{done} of {label}");
        }
        Ok(())
    })
    .await
}
