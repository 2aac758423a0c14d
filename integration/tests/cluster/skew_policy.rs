//! Kubernetes' version skew policy on real parts. Three servers, each with an audit log, go from one version
//! to the next and back. Through Envoy, controller managers and schedulers of both versions work, and
//! clients with the `User-Agent` of a kubelet and of kubectl ask.
//!
//! ```text
//!  controller managers, schedulers of both versions ─┐
//!  "kubelet/v1.37" by token and certificate ─────────┼─▶ Envoy ─▶ cp-0, cp-1, cp-2 ─▶ audit logs
//!  "kubectl/v1.37" ──────────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use asking::{Asking, kubectl, kubelet};
use audit::{Audits, Sender};
use connecting::Connecting;
use discovery_map::Destination;
use fake_apiserver::Version;
use harness::control_plane::{
    ControllerManager, ControllerManagerOptions, Scheduler, ServerOptions, User,
};
use harness::promise;
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use rotation::Rotation;

mod asking;
mod audit;
mod connecting;
mod rotation;

const DEADLINE: Duration = Duration::from_secs(60);

const CONTROLLERS: [&str; 6] = [
    "garbage-collector-controller",
    "namespace-controller",
    "job-controller",
    "deployment-controller",
    "replicaset-controller",
    "resourcequota-controller",
];

/// When the last newer server has gone, an older one answers within this time.
const PROMISE: Duration = Duration::from_secs(1);

const COUNTER: &str = "mixed_version_proxy_skew_policy_requests_total";

const SERVERS: usize = 3;

/// How long each step of the upgrade lasts when all have settled.
const STEP: Duration = Duration::from_secs(6);

/// Starts a controller manager and a scheduler of one version, against Envoy.
async fn components(site: &Site, version: Version) -> Result<(ControllerManager, Scheduler)> {
    let url = site.stack.url();
    let options = ControllerManagerOptions {
        version,
        url: url.clone(),
        user: User::ControllerManagerCertificate,
        controllers: CONTROLLERS.map(str::to_owned).to_vec(),
        arguments: Vec::new(),
    };
    let manager = site.plane.controller_manager(&options).await?;
    Ok((manager, site.plane.scheduler(version, &url).await?))
}

fn server(audits: &Audits, number: usize, version: Version) -> ServerOptions {
    audits
        .logs
        .server(&format!("cp-{number}"), version)
        .argument("--shutdown-watch-termination-grace-period=1s")
}

/// Restarts a server as another version, and waits until it is in rotation.
async fn restart(site: &mut Site, audits: &mut Audits, index: usize, to: Version) -> Result<()> {
    stop(site, audits, index, to).await?;
    site.plane.server_mut(index)?.restart_as(to).await?;
    site.wait_in_rotation(index, to).await
}

/// Stops a server. What it logs from then on is of the version `next`.
async fn stop(site: &mut Site, audits: &mut Audits, index: usize, next: Version) -> Result<()> {
    let server = site.plane.server_mut(index)?;
    let name = server.name().to_owned();
    server.stop().await?;
    audits.becomes(&name, next)
}

/// Waits until this version answers, and the filter knows all servers and whether their versions differ.
async fn answering(site: &Site, version: Version) -> Result<()> {
    let peers = site.stack.companion.json("/v1/peers").await?;
    let mut peers = peers.as_array().context("no list")?.iter();
    let differ = peers.any(|peer| peer["minorVersion"] != version.as_str());
    site.stack
        .wait_for_map("the servers and their versions", |map| {
            map.rotation.len() == SERVERS && map.versions_differ() == differ
        })
        .await?;
    site.wait_for_first("the answering version", |peer| peer["minorVersion"] == version.as_str())
        .await
}

/// Lets a step last. Fails if somebody who follows the answering version was answered by another one, but
/// for types that only that one serves.
async fn others_follow(site: &Site, audits: &Audits, version: Version) -> Result<usize> {
    answering(site, version).await?;
    let before = audits.read()?;
    tokio::time::sleep(STEP).await;
    let map = site.stack.companion.map("/v1/map").await?;
    let requests = audits.since(&before)?;
    let followers = |one: &&audit::Request| match one.sender {
        Sender::Component(own) => own == OLDER,
        Sender::Kubectl => true,
        Sender::Other => false,
    };
    let followers: Vec<_> = requests.iter().filter(followers).collect();
    let is_common = |one: &&&audit::Request| one.found(&map) == Some(Destination::Default);
    let common: Vec<_> = followers.iter().filter(is_common).collect();
    let wrong: Vec<_> = common.iter().filter(|one| one.answered_by != version).collect();
    ensure!(wrong.is_empty(), "not by {version:?}: {wrong:#?}");
    ensure!(!common.is_empty(), "nobody asked");
    Ok(common.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_component_is_answered_by_a_server_that_is_older_than_itself() -> Result<()> {
    let mut entry = Entry::begin("skew-policy");
    let mut audits = Audits::new()?;
    let servers = (0..SERVERS).map(|number| server(&audits, number, OLDER)).collect();
    let mut site = Site::start_as_shipped(servers).await?;
    let _older = components(&site, OLDER).await?;
    let kubectl = Asking::start(vec![kubectl(&site)?]);

    restart(&mut site, &mut audits, 0, NEWER).await?;
    answering(&site, OLDER).await?;
    let began = audits.read()?;
    let mut rotation = Rotation::begin(&site).await?;
    let mut connecting = Connecting::to(&site, site.plane.server(0)?.port())?;
    let _newer = components(&site, NEWER).await?;
    let kubelets = Asking::start(kubelet(&site)?);
    let mut followed = others_follow(&site, &audits, OLDER).await?;
    for index in [1, 2] {
        restart(&mut site, &mut audits, index, NEWER).await?;
        followed += others_follow(&site, &audits, NEWER).await?;
        rotation.read(&site).await?;
    }
    for index in [2, 1] {
        restart(&mut site, &mut audits, index, OLDER).await?;
        let version = if index == 2 { NEWER } else { OLDER };
        followed += others_follow(&site, &audits, version).await?;
        rotation.read(&site).await?;
    }

    // All the time, the first server was of the newer version. While Envoy cannot reach it, older ones
    // answer (docs/operations/skew-policy.md).
    let requests = audits.since(&began)?;
    let (by_older, by_newer) = of_newer_components(&requests);
    let mut without_newer = rotation.without_newer()?;
    without_newer.extend(connecting.times()?);
    let (had_no_other, by_older): (Vec<_>, Vec<_>) = by_older
        .into_iter()
        .partition(|one| without_newer.iter().any(|times| times.contains(&one.at)));
    entry.set("requestsWhileNoNewerServerWasReachable", had_no_other.len());
    entry.set("requestsOfNewerComponentsToOlderServers", by_older.len());
    entry.set("requestsOfNewerComponentsToNewerServers", by_newer.len());
    entry.set("requestsThatFollowedTheAnsweringVersion", followed);
    ensure!(
        by_older.is_empty(),
        "answered by an older server: {by_older:#?}; no newer one: {without_newer:?}"
    );
    // The rest of the time is most of it.
    let (few, all) = (had_no_other.len(), by_newer.len());
    ensure!(few * 10 < all, "{few} of {all}: the newer servers were hardly ever reachable");
    each_asked(&by_newer)?;
    // A server that stops may end what it has begun.
    let failed = kubelets.failures(&without_newer);
    entry.set("failuresOfKubelets", failed.len());
    ensure!(failed.len() <= 4, "failed: {failed:#?}");

    the_last_newer_server_goes(&mut site, &mut audits, &kubelets, &mut entry).await?;
    drop(kubectl);
    entry.passed()
}

/// Returns the requests of newer components, those to older servers and those to newer ones.
fn of_newer_components(
    requests: &[audit::Request],
) -> (Vec<&audit::Request>, Vec<&audit::Request>) {
    let of_newer = requests.iter().filter(|one| one.sender == Sender::Component(NEWER));
    of_newer.partition(|one| one.answered_by == OLDER)
}

/// Fails unless a kubelet, a controller manager and a scheduler are among those that asked.
fn each_asked(requests: &[&audit::Request]) -> Result<()> {
    for program in ["kubelet/", "kube-controller-manager/", "kube-scheduler/"] {
        let mut agents = requests.iter().map(|one| &one.user_agent);
        ensure!(agents.any(|agent| agent.starts_with(program)), "{program} asked for nothing");
    }
    Ok(())
}

async fn the_last_newer_server_goes(
    site: &mut Site,
    audits: &mut Audits,
    kubelets: &Asking,
    entry: &mut Entry,
) -> Result<()> {
    let before = audits.read()?;
    stop(site, audits, 0, OLDER).await?;
    let stopped = Instant::now();
    let first = kubelets.answered_after(stopped, DEADLINE).await?;
    entry.set_ms("untilAnOlderServerAnsweredMs", first);
    promise::ensure_kept("an older server answered", PROMISE, first)?;
    for component in ["kubelet", "kube_controller_manager", "kube_scheduler"] {
        counted(site, component).await?;
    }
    wait::until("the newer components at older servers", DEADLINE, async || {
        let requests = audits.since(&before)?;
        each_asked(&of_newer_components(&requests).0)
    })
    .await
}

/// Waits until requests of a component are counted as answered by older servers.
async fn counted(site: &Site, component: &str) -> Result<()> {
    let component = format!("component=\"{component}\"");
    let labels = [&*component, "outcome=\"none_in_rotation\""];
    wait::until("the counter", DEADLINE, async || {
        let count = site.stack.envoy.metric(COUNTER, &labels).await?;
        ensure!(count > 0.0, "{component}: {count}");
        anyhow::Ok(())
    })
    .await
}
