//! A custom resource that is defined through Envoy is usable through Envoy
//! within two seconds, whichever server a request meets; when its definition
//! is deleted it is a true 404 within two seconds.
//!
//! Several clients, each with its own connection, keep asking for the resource.
//! It is usable after the *last* answer to any of them that is not a success, and
//! gone after the last that is not a 404. The times count from the moments at
//! which Kubernetes says so: the condition `Established` is set, and the
//! definition can no longer be read. The report also has the times from the
//! answers to the calls; they include Kubernetes' own work, such as the deletion
//! of all objects.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::ServerOptions;
use harness::load::{End, Journal, Load, Operation};
use harness::manifests::{DEFINITIONS, custom_object, definition};
use harness::promise;
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use serde_json::Value;
use wire::client::{Client, Http};

/// The time that the project promises.
const PROMISE: Duration = Duration::from_secs(2);

/// How long anything here is waited for; the promise is judged afterwards.
const DEADLINE: Duration = Duration::from_secs(90);

/// How often a client asks.
const PACE: Duration = Duration::from_millis(20);

/// This many equal answers in a row, over all clients, are the new state: they
/// take two seconds, longer than the next poll and push.
const IN_A_ROW: usize = 600;

const GROUP: &str = "conformance.example";

/// The resources, one after the other: the group is new with the first.
const PLURALS: [&str; 5] = ["widgets", "gadgets", "gizmos", "sprockets", "cogs"];

const CLIENTS: [(&str, Http); 6] = [
    ("client-0", Http::Two),
    ("client-1", Http::One),
    ("client-2", Http::Two),
    ("client-3", Http::One),
    ("client-4", Http::Two),
    ("client-5", Http::One),
];

#[tokio::test]
async fn a_definition_is_usable_and_gone_within_two_seconds() -> Result<()> {
    let mut entry = Entry::begin("cluster_crd");
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.to_vec()).await?;
    let mut rounds = Vec::new();
    for plural in PLURALS {
        let round = round(&site, plural).await.with_context(|| plural.to_owned())?;
        rounds.push(round);
    }
    let longest = |time: fn(&Round) -> Duration| rounds.iter().map(time).max().unwrap_or_default();
    entry.set("definitions", rounds.len());
    entry.set("requests", rounds.iter().map(|round| round.requests).sum::<usize>());
    entry.set("clients", CLIENTS.len());
    entry.set_ms("usableAfterCreateReturnedMs", longest(|round| round.usable_after_create));
    entry.set_ms("usableAfterEstablishedMs", longest(|round| round.usable));
    entry.set_ms("goneAfterDeleteReturnedMs", longest(|round| round.gone_after_delete));
    entry.set_ms("goneAfterDefinitionGoneMs", longest(|round| round.gone));
    entry.set("otherAnswers", statuses(&rounds));
    let rounds = || format!("{rounds:#?}");
    let (usable, gone) = (longest(|round| round.usable), longest(|round| round.gone));
    promise::ensure_kept("the type was usable", PROMISE, usable).with_context(rounds)?;
    promise::ensure_kept("the type was gone", PROMISE, gone).with_context(rounds)?;
    entry.passed()
}

/// The measurements of one definition.
#[derive(Debug)]
struct Round {
    requests: usize,
    usable_after_create: Duration,
    usable: Duration,
    gone_after_delete: Duration,
    gone: Duration,
    /// Answers that were neither success nor 404, by status.
    others: BTreeMap<String, u64>,
}

async fn round(site: &Site, plural: &str) -> Result<Round> {
    let admin = site.client(Http::Two)?;
    let collection = format!("/apis/{GROUP}/v1/namespaces/default/{plural}");
    let path = format!("{DEFINITIONS}/{plural}.{GROUP}");
    let before = site.landed().await?;
    let mut load = Load::default();
    for (label, http) in CLIENTS {
        load.probe(site.client(http)?, label, &collection, PACE);
    }
    let journal = load.journal().clone();
    admin.post(DEFINITIONS, &definition(plural, GROUP)).await?.ok()?;
    let created = Instant::now();
    wait::until("Established", DEADLINE, async || established(&admin, &path).await).await?;
    let established = Instant::now();
    settled(&journal, "success", established, Operation::is_ok).await?;
    let usable = journal.operations(|operation| operation.ended > created && !operation.is_ok());
    used(site, plural, &collection).await?;

    admin.delete(&path).await?.ok()?;
    let deleted = Instant::now();
    wait::until("the definition's end", DEADLINE, async || {
        let status = admin.get(&path).await?.status;
        ensure!(status == 404, "{status}");
        Ok(())
    })
    .await?;
    let ended = Instant::now();
    settled(&journal, "a 404", ended, is_not_found).await?;
    let gone =
        journal.operations(|operation| operation.ended > deleted && !is_not_found(operation));
    true_404(site, &collection).await?;
    load.finish().await?;

    let after = site.landed().await?;
    for server in ["old", "new"] {
        let count = |landed: &harness::site::Landed| {
            landed.get("kube-apiserver").and_then(|servers| servers.get(server)).copied()
        };
        ensure!(count(&after) > count(&before), "nothing went to {server}: {after:?}");
    }
    Ok(Round {
        requests: journal.count(|_| true),
        usable_after_create: last(&usable, created),
        usable: last(&usable, established),
        gone_after_delete: last(&gone, deleted),
        gone: last(&gone, ended),
        others: others(&journal),
    })
}

/// Waits until every client has had only the wanted answer for a while.
async fn settled(
    journal: &Journal,
    what: &str,
    since: Instant,
    wanted: impl Fn(&Operation) -> bool,
) -> Result<()> {
    wait::until(what, DEADLINE, async || {
        let (row, before) = journal.row(since, &wanted);
        ensure!(row >= IN_A_ROW, "{row} in a row, after {before:?}");
        Ok(())
    })
    .await
}

async fn established(client: &Client, path: &str) -> Result<()> {
    let definition = client.get(path).await?.ok()?.json()?;
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    let established = conditions.into_iter().flatten().any(|condition| {
        condition.get("type").is_some_and(|kind| kind == "Established")
            && condition.get("status").is_some_and(|status| status == "True")
    });
    ensure!(established, "{}", definition.pointer("/status").unwrap_or(&Value::Null));
    Ok(())
}

/// Objects are created and read by every client, each with new connections.
async fn used(site: &Site, plural: &str, collection: &str) -> Result<()> {
    for (name, http) in CLIENTS {
        let client = site.client(http)?;
        client.post(collection, &custom_object(plural, GROUP, name)).await?.ok()?;
    }
    for (name, http) in CLIENTS {
        site.client(http)?.get(&format!("{collection}/{name}")).await?.ok()?;
    }
    Ok(())
}

/// Through Envoy it is the 404 of each server.
async fn true_404(site: &Site, collection: &str) -> Result<()> {
    let answer = site.client(Http::Two)?.get(collection).await?;
    ensure!(answer.is_type_level_404(), "{} {}", answer.status, answer.text());
    for server in 0..site.plane.servers().len() {
        let direct = site.direct(server, Http::Two)?.get(collection).await?;
        ensure!((answer.status, &answer.body) == (direct.status, &direct.body), "{direct:?}");
    }
    Ok(())
}

fn is_not_found(operation: &Operation) -> bool {
    operation.is_type_level_404()
}

/// Returns the time from `since` to the end of the last of these.
fn last(operations: &[Operation], since: Instant) -> Duration {
    let ends = operations.iter().map(|operation| operation.ended);
    ends.max().map_or(Duration::ZERO, |end| end.saturating_duration_since(since))
}

/// Returns what else was answered meanwhile, such as Kubernetes' own 429 "storage is
/// (re)initializing".
fn others(journal: &Journal) -> BTreeMap<String, u64> {
    let mut others = BTreeMap::new();
    let seen = journal.operations(|operation| !operation.is_ok() && !is_not_found(operation));
    for operation in seen {
        let kind = match operation.end {
            End::Answered { status, .. } => status.to_string(),
            End::Broken(_) => "broken".to_owned(),
        };
        *others.entry(kind).or_default() += 1;
    }
    others
}

fn statuses(rounds: &[Round]) -> Value {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (status, count) in rounds.iter().flat_map(|round| &round.others) {
        *all.entry(status).or_default() += count;
    }
    serde_json::json!(all)
}
