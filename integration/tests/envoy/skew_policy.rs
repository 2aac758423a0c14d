//! Kubernetes' version skew policy: a component is answered by no server that is older than itself. Envoy
//! in front of two fake 1.35 (`cp-1`, `cp-2`) and a fake 1.36 (`cp-3`). 1.35 is the answering version.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use discovery_map::MapDocument;
use fake_apiserver::Version;
use fake_apiserver::replay::{Crd, PEER_HEADER, Rules};
use harness::fleet::{Fleet, TOKEN};
use harness::promise;
use harness::pushed::PushedStack;
use harness::stack::Stack;
use harness::wait;
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::{Client, ClientOptions, Http};

mod lies;

const DEADLINE: Duration = Duration::from_secs(30);

/// When the last newer server has gone, an older one answers within this time.
const PROMISE: Duration = Duration::from_secs(1);

const NEWER: &str = "kubelet/v1.36.3 (linux/amd64) kubernetes/1a2b3c4";
const OLDER: &str = "kube-proxy/v1.35.4 (linux/amd64) kubernetes/1a2b3c4";
const NEWEST: &str = "kube-scheduler/v1.37.0-rc.1 (linux/amd64) kubernetes/1a2b3c4/scheduler";
const KUBECTL: &str = "kubectl/v1.36.3 (linux/amd64) kubernetes/1a2b3c4";

const COMMON: &str = "/api/v1/namespaces/default/configmaps";
/// Only 1.36 serves it.
const SKEWED: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

const COUNTER: &str = "mixed_version_proxy_skew_policy_requests_total";

/// Each request is sent so often.
const TIMES: usize = 12;

fn names<'n>(names: &[&'n str]) -> BTreeSet<&'n str> {
    names.iter().copied().collect()
}

async fn start() -> Result<(Fleet, Stack)> {
    start_with(json!({})).await
}

async fn start_with(companion: Value) -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    (options.answering_version, options.companion) = (None, companion);
    let stack = Stack::start_with_map(options).await?;
    Ok((fleet, stack))
}

/// With a token and with a certificate, over both versions of HTTP: they have clusters and routes of
/// their own.
fn clients(fleet: &Fleet, url: &str) -> Result<Vec<Client>> {
    let certificate = fleet.pki().client("node", "system:node:n", &["system:nodes"])?;
    let mut clients = Vec::new();
    for certificate in [None, Some(certificate)] {
        for http in [Http::One, Http::Two] {
            clients.push(Client::new(&ClientOptions {
                url: url.to_owned(),
                ca_pem: fleet.pki().ca_pem(),
                token: certificate.is_none().then(|| TOKEN.to_owned()),
                certificate: certificate.clone(),
                http,
            })?);
        }
    }
    Ok(clients)
}

/// Returns the servers that answered a client with this `User-Agent`. Fails if a request does.
async fn answered(client: &Client, user_agent: &str, path: &str) -> Result<BTreeSet<String>> {
    let mut servers = BTreeSet::new();
    for _ in 0..TIMES {
        let headers = [("user-agent", user_agent)];
        let answer = client.send_with(Method::GET, path, &headers).await?.ok()?;
        let server = answer.header(PEER_HEADER).context("no server is named")?;
        servers.insert(server.to_owned());
    }
    Ok(servers)
}

/// Fails unless these servers answer, and no others.
async fn expect(client: &Client, user_agent: &str, path: &str, servers: &[&str]) -> Result<()> {
    let found = answered(client, user_agent, path).await?;
    let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
    ensure!(found == names(servers), "{user_agent} {path}: {found:?} answered");
    Ok(())
}

/// Servers that answer 401 to everybody but the companion.
fn denying() -> Rules {
    Rules { token: Some("companion".to_owned()), ..Rules::default() }
}

/// Waits until at least so many requests of a component are counted, and returns their number.
async fn counted(stack: &Stack, component: &str, outcome: &str, count: f64) -> Result<f64> {
    let labels = [format!("component=\"{component}\""), format!("outcome=\"{outcome}\"")];
    wait::until("the counter", DEADLINE, async || {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let found = stack.envoy.metric(COUNTER, &labels).await?;
        ensure!(found >= count, "{found} of {count}");
        anyhow::Ok(found)
    })
    .await
}

/// Returns the lines of Envoy's log about the policy.
fn log(stack: &mut Stack) -> Result<Vec<String>> {
    let log = fs::read_to_string(stack.envoy.process().log())?;
    let lines = log.lines().filter(|line| line.contains("(version skew policy)"));
    Ok(lines.map(str::to_owned).collect())
}

#[tokio::test]
async fn components_go_to_servers_that_are_as_new_and_everybody_else_follows_the_answering_version()
-> Result<()> {
    let (fleet, stack) = start().await?;
    for client in clients(&fleet, &stack.url())? {
        for path in [COMMON, "/api/v1/nodes", "/healthz", "/version"] {
            expect(&client, NEWER, path, &["cp-3"]).await?;
            expect(&client, OLDER, path, &["cp-1", "cp-2"]).await?;
            expect(&client, KUBECTL, path, &["cp-1", "cp-2"]).await?;
        }
        expect(&client, NEWER, SKEWED, &["cp-3"]).await?;
        expect(&client, OLDER, SKEWED, &["cp-3"]).await?;
    }
    // Four clients, four paths that the policy moves.
    let moved = f64::from(u32::try_from(4 * 4 * TIMES)?);
    ensure!(counted(&stack, "kubelet", "kept", moved).await? == moved);
    ensure!(counted(&stack, "kube_proxy", "kept", 0.0).await? == 0.0);
    Ok(())
}

#[tokio::test]
async fn merged_discovery_is_checked_at_a_server_that_is_new_enough() -> Result<()> {
    let (mut fleet, stack) = start().await?;
    // The older servers have the most types, so that they answer best for others.
    for index in [0, 1] {
        for number in 0..40 {
            let crd = Crd::new("old.example.com", &format!("Old{number}"));
            fleet.peer(index)?.add_crd(crd)?;
        }
    }
    stack
        .wait_for_map("the types", |map| {
            map.resource(b"old.example.com", b"v1", b"old39s", None).is_some()
        })
        .await?;
    // An access check at one of them fails.
    for index in [0, 1] {
        fleet.peer(index)?.set_rules(denying());
    }
    for client in clients(&fleet, &stack.url())? {
        for path in ["/apis", "/api"] {
            let headers = [("user-agent", NEWER), ("accept", AGGREGATED)];
            let answer = client.send_with(Method::GET, path, &headers).await?.ok()?;
            let text = answer.text();
            ensure!(text.contains("APIGroupDiscoveryList"), "{text}");
            if path == "/apis" {
                ensure!(text.contains("old39s") && text.contains("mutatingadmissionpolicies"));
            }
        }
    }
    let client = fleet.client(&stack.url(), Http::Two)?;
    let headers = [("user-agent", KUBECTL), ("accept", AGGREGATED)];
    let answer = client.send_with(Method::GET, "/apis", &headers).await?;
    assert_eq!(answer.status, 401);
    Ok(())
}

/// The map does not have ConfigMaps, or for all servers; `cp-2`, which is new enough, does not know
/// them, and `cp-1`, which is too old, does.
async fn retried(change: impl Fn(&mut MapDocument)) -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36, Version::V1_36]).await?;
    fleet.peers.get(1).context("no peer")?.drop_resource("", "v1", "configmaps")?;
    let mut scene = PushedStack::of(fleet, |options| options.answering_version = None).await?;
    scene.push(|map| change(map)).await?;
    for client in clients(&scene.fleet, &scene.stack.url())? {
        expect(&client, NEWER, COMMON, &["cp-3"]).await?;
    }
    let asked_again = "mixed_version_proxy_type_level_not_found_total";
    let count = scene.stack.envoy.metric(asked_again, &["outcome=\"asked_again\""]).await?;
    ensure!(count > 0.0, "no request was denied");
    // Without the rule, the older server answers as well.
    let client = scene.client(Http::Two)?;
    wait::until("an answer of the older server", DEADLINE, async || {
        let servers = answered(&client, KUBECTL, COMMON).await?;
        ensure!(servers.contains("cp-1"), "{servers:?}");
        anyhow::Ok(())
    })
    .await
}

fn without_config_maps(map: &mut MapDocument) {
    for by_set in map.groups.get_mut("").into_iter().flat_map(|core| core.0.values_mut()) {
        for resources in by_set.0.values_mut() {
            resources.namespaced.retain(|name| name != "configmaps");
        }
    }
}

#[tokio::test]
async fn a_doubtful_404_is_asked_of_the_next_server_that_is_new_enough() -> Result<()> {
    retried(without_config_maps).await
}

#[tokio::test]
async fn a_doubtful_404_for_a_common_type_is_retried_on_the_next_server_that_is_new_enough()
-> Result<()> {
    retried(|map| {
        without_config_maps(map);
        let core = map.groups.get_mut("").and_then(|core| core.0.get_mut("v1"));
        if let Some(common) = core.and_then(|core| core.0.get_mut(&0)) {
            common.namespaced.push("configmaps".to_owned());
        }
    })
    .await
}

#[tokio::test]
async fn without_a_server_that_is_new_enough_components_are_answered_as_without_the_rule()
-> Result<()> {
    let (mut fleet, mut stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    expect(&client, NEWEST, COMMON, &["cp-1", "cp-2"]).await?;
    counted(&stack, "kube_scheduler", "none_in_rotation", f64::from(u32::try_from(TIMES)?)).await?;

    // Envoy finds out first that the only one is gone, and then the companion.
    expect(&client, NEWER, COMMON, &["cp-3"]).await?;
    fleet.peer(2)?.stop().await;
    let stopped = Instant::now();
    // As client-go repeats what gets 503 with Retry-After.
    let answer = wait::until("an answer", DEADLINE, async || {
        client.send_with(Method::GET, COMMON, &[("user-agent", NEWER)]).await?.ok()
    })
    .await?;
    promise::ensure_kept("an older server answered", PROMISE, stopped.elapsed())?;
    assert_ne!(answer.header(PEER_HEADER), Some("cp-3"));
    stack.wait_for_map("two servers", |map| map.rotation.len() == 2).await?;
    expect(&client, NEWER, COMMON, &["cp-1", "cp-2"]).await?;
    counted(&stack, "kubelet", "none_in_rotation", f64::from(u32::try_from(TIMES)?)).await?;

    let workers = usize::try_from(stack.options().concurrency)?;
    for component in ["kube-scheduler 1.37", "kubelet 1.36"] {
        // func-e passes on what Envoy logs.
        let count = wait::until(&format!("a line for {component}"), DEADLINE, async || {
            let lines = log(&mut stack)?;
            let count = lines.iter().filter(|line| line.contains(component)).count();
            ensure!(count > 0, "{lines:#?}");
            anyhow::Ok(count)
        })
        .await?;
        ensure!(count <= workers, "{count} lines for {component}");
    }

    fleet.peer(2)?.start_again().await?;
    stack.wait_for_map("three servers", |map| map.rotation.len() == 3).await?;
    wait::until("the newer server to answer again", DEADLINE, async || {
        expect(&client, NEWER, COMMON, &["cp-3"]).await
    })
    .await
}

/// Fails if a map says anything of versions.
fn has_no_versions(map: &Value) -> Result<()> {
    for (list, field) in [("peers", "version"), ("sets", "atLeast")] {
        let entries = map.get(list).and_then(Value::as_array).context("no list")?;
        ensure!(entries.iter().all(|entry| entry.get(field).is_none()), "{list}: {entries:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_rule_can_be_ignored_and_kept_again_while_everything_runs() -> Result<()> {
    let (fleet, mut stack) = start_with(json!({ "skewPolicy": "ignore" })).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    expect(&client, NEWER, COMMON, &["cp-1", "cp-2"]).await?;
    has_no_versions(&stack.map().await?)?;
    for (policy, servers) in [("keep", &["cp-3"][..]), ("ignore", &["cp-1", "cp-2"])] {
        stack.configure(json!({ "skewPolicy": policy }))?;
        wait::until(policy, DEADLINE, async || expect(&client, NEWER, COMMON, servers).await)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn servers_of_one_version_make_a_map_without_versions() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    has_no_versions(&stack.map().await?)?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    expect(&client, NEWEST, COMMON, &["cp-1", "cp-2"]).await
}
