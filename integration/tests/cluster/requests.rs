//! Two thousand mixed requests to real servers of the newest pair, through Envoy:
//! of types that only one of them serves (either way round, and a subresource),
//! of common types, and of types that neither has. Requests for
//! served types succeed wherever the type is served, and each 404 is that of the
//! right server, byte for byte.

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, User};
use harness::manifests::POLICIES;
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::skew::{NEW, OLD, servers};
use harness::stack::Stack;
use serde_json::json;
use wire::client::{Client, Http};

pub mod kinds;
mod request;
mod round;

use round::{Tally, Worker};

/// How many requests there are at least.
const REQUESTS: u64 = 2_000;

/// Clients at work at once.
const WORKERS: u32 = 4;

/// Requests through plain round robin, to see what the filter prevents.
const PLAIN_REQUESTS: u64 = 200;

#[tokio::test]
async fn wrong_404s_never_pass_and_true_404s_always_do() -> Result<()> {
    let mut entry = Entry::begin("cluster_requests");
    let site = Site::start(servers()).await?;
    prepare(&site).await?;

    let plain = wrong_without_filter(&site.plane).await?;
    entry.set("withoutFilterRequests", PLAIN_REQUESTS);
    entry.set("withoutFilterWrong404s", plain);
    ensure!(plain > 0, "plain round robin gives no wrong 404: the test proves nothing");

    let tally = requests(&site).await?;
    entry.set("requests", tally.requests);
    entry.set("skewedRequests", tally.skewed);
    entry.set("commonRequests", tally.common);
    entry.set("unknownRequests", tally.unknown);
    entry.set("wrong404s", tally.wrong_404s);
    entry.set("true404s", tally.true_404s);
    entry.set("true404sKept", tally.true_404s_kept);
    entry.set("otherFailures", tally.failures);
    entry.set("landed", json!(site.landed().await?));

    ensure!(tally.requests >= REQUESTS, "only {} requests", tally.requests);
    ensure!(tally.problems.is_empty(), "{tally:#?}");
    ensure!(tally.true_404s == tally.true_404s_kept && tally.true_404s > 0, "{tally:#?}");
    both_servers_were_used(&site).await?;
    entry.passed()
}

/// Creates what pods need, and checks the skew.
async fn prepare(site: &Site) -> Result<()> {
    let (old, new) = (site.direct(OLD, Http::Two)?, site.direct(NEW, Http::Two)?);
    // No controller creates it.
    let account = json!({ "metadata": { "name": "default" } });
    new.post("/api/v1/namespaces/default/serviceaccounts", &account).await?.ok()?;
    for kind in kinds::all(&site.plane) {
        for (server, client) in [(OLD, &old), (NEW, &new)] {
            let unknown = client.get(kind.collection).await?.is_type_level_404();
            let served = kind.servers.contains(&server);
            ensure!(served != unknown, "{} on server {server}: served {served}", kind.collection);
        }
    }
    Ok(())
}

/// Counts what plain round robin does with requests for a type of one server.
async fn wrong_without_filter(plane: &ControlPlane) -> Result<u64> {
    let mut options = stack_options(plane, "plain")?;
    options.filter = false;
    let stack = Stack::start(options).await?;
    let client = plane.client(&stack.url(), User::Admin, Http::Two)?;
    let mut wrong = 0;
    for _ in 0..PLAIN_REQUESTS {
        wrong += u64::from(client.get(POLICIES).await?.is_type_level_404());
    }
    Ok(wrong)
}

async fn requests(site: &Site) -> Result<Tally> {
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        let http = if number % 2 == 0 { Http::Two } else { Http::One };
        let direct = (0..site.plane.servers().len()).map(|server| site.direct(server, http));
        let worker = Worker {
            number,
            envoy: site.client(http)?,
            direct: direct.collect::<Result<Vec<Client>>>()?,
            kinds: kinds::all(&site.plane),
        };
        workers.spawn(worker.run(REQUESTS / u64::from(WORKERS)));
    }
    let mut all = Tally::default();
    while let Some(tally) = workers.join_next().await {
        all.add(tally??);
    }
    Ok(all)
}

/// Common requests went to both, so no server was spared.
async fn both_servers_were_used(site: &Site) -> Result<()> {
    let landed = site.landed().await?;
    let common = landed.get("kube-apiserver").context("the common cluster")?;
    ensure!(common.len() == 2 && common.values().all(|count| *count > 100), "{landed:?}");
    Ok(())
}
