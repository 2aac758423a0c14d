//! Real servers of two versions answer some requests differently. During an upgrade and a rollback,
//! one version answers; without an answering version, chance does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use applying::{Applied, Applying, apply, changed_once};
use doubtful::{Doubtful, Given};
use fake_apiserver::Version;
use harness::control_plane::{ServerOptions, User};
use harness::promise;
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use serde_json::Value;
use wire::client::{Client, Http};

mod applying;
mod doubtful;
mod new_field;

const DEADLINE: Duration = Duration::from_secs(30);

/// All workers and clusters of Envoy follow a switch within this time.
const SLACK: Duration = Duration::from_secs(1);

/// Another version answers within this time, and each request has its answer.
const PROMISE: Duration = Duration::from_secs(1);

/// How many requests for one kind of object may meet the end of one server: each client has one or
/// a few of them on their way.
const RESETS_A_STOP: usize = 4;

/// How often each kind is applied at least.
const APPLIES: usize = 200;

const RELOADS: &str = r#"config_reloads_total{outcome="applied"}"#;

const SWITCHES: &str = "version_switches_total";

/// From the signal to the end of each server that stopped.
type Stops = Vec<(Instant, Instant)>;

/// Without the argument a server with watches takes a minute to stop.
fn server(number: usize, version: Version) -> ServerOptions {
    ServerOptions::new(format!("cp-{number}"), version)
        .argument("--shutdown-watch-termination-grace-period=1s")
}

/// With a token and with a certificate: they have clusters of their own.
fn clients(site: &Site) -> Result<Vec<Client>> {
    let url = site.stack.url();
    let client = |user, http| site.plane.client(&url, user, http);
    Ok(vec![client(User::Admin, Http::Two)?, client(User::KubernetesAdmin, Http::Two)?])
}

/// Changes the policy of the companion, and waits until it knows it.
async fn set_policy(site: &Site, policy: &str, answering: usize) -> Result<()> {
    let companion = &site.stack.companion;
    let mut config: Value = serde_json::from_str(&fs::read_to_string(companion.config_file())?)?;
    let fields = config.as_object_mut().context("no fields")?;
    fields.insert("answeringVersion".to_owned(), policy.into());
    let reloads = site.stack.companion.metric(RELOADS).await?;
    companion.write_config(&config.to_string())?;
    wait::until(policy, DEADLINE, async || {
        // As many peers may have answered before.
        ensure!(
            site.stack.companion.metric(RELOADS).await? > reloads,
            "the companion has not read it"
        );
        let peers = site.stack.companion.json("/v1/peers").await?;
        let peers = peers.as_array().context("no list")?.iter();
        let found = peers.filter(|peer| peer["answering"] == true).count();
        ensure!(found == answering, "{found} peers answer");
        anyhow::Ok(())
    })
    .await?;
    in_envoy(site).await
}

/// Waits until Envoy asks first the servers that answer.
async fn in_envoy(site: &Site) -> Result<()> {
    site.wait_for_first("the servers that answer", |peer| peer["answering"] == true).await
}

async fn restart(site: &mut Site, stops: &mut Stops, index: usize, version: Version) -> Result<()> {
    let server = site.plane.server_mut(index)?;
    let begun = Instant::now();
    server.stop().await?;
    stops.push((begun, Instant::now()));
    server.restart_as(version).await?;
    site.wait_in_rotation(index, version).await
}

/// Waits until the companion has switched so often.
async fn switched(site: &Site, times: u64) -> Result<()> {
    wait::until("the switch", DEADLINE, async || {
        let found = site.stack.companion.metric(SWITCHES).await?;
        ensure!(found == times, "{found} switches");
        anyhow::Ok(())
    })
    .await
}

/// Returns how often each kind was answered by each version.
fn count(applied: &[Applied]) -> BTreeMap<(&'static str, Given), usize> {
    let mut count = BTreeMap::new();
    applied.iter().for_each(|one| *count.entry((one.label, one.given)).or_default() += 1);
    count
}

/// Returns the kinds of objects that two servers answer differently, by their own answers.
async fn kinds(site: &Site, older: usize, newer: usize) -> Result<Vec<Doubtful>> {
    doubtful::between(&site.direct(older, Http::Two)?, &site.direct(newer, Http::Two)?).await
}

/// Checks that nothing failed but what met the end of a stopping server. Returns the number of
/// those.
fn only_resets(applied: &[Applied], kinds: &[Doubtful], stops: &Stops) -> Result<usize> {
    let failed = applied.iter().filter(|one| one.given == Given::Failed);
    let is_stopping = |one: &Applied| {
        stops.iter().any(|(begun, ended)| one.ended >= *begun && one.began <= *ended + SLACK)
    };
    let (resets, others): (Vec<_>, Vec<_>) =
        failed.partition(|one| one.met_a_stop && is_stopping(one));
    ensure!(others.is_empty(), "failed: {others:#?}");
    ensure!(resets.len() <= RESETS_A_STOP * kinds.len() * stops.len(), "{resets:#?}");
    Ok(resets.len())
}

/// Three servers go from one version to the next and back, under load.
async fn one_version_answers(test: &str, older: Version, newer: Version) -> Result<()> {
    let mut entry = Entry::begin(test);
    let mut site =
        Site::start_as_shipped((0..3).map(|number| server(number, older)).collect()).await?;

    // Without an answering version, chance answers.
    set_policy(&site, "any", 3).await?;
    restart(&mut site, &mut Stops::new(), 0, newer).await?;
    in_envoy(&site).await?;
    let kinds = kinds(&site, 1, 0).await?;
    let client = site.client(Http::Two)?;
    // One kind after the other: requests of as many kinds as servers would each have a server.
    for kind in &kinds {
        let mut given = BTreeSet::new();
        wait::until("answers of both versions", DEADLINE, async || {
            given.insert(apply(&client, kind).await.given);
            let both = [Given::Older, Given::Newer].iter().all(|one| given.contains(one));
            ensure!(both, "{} has only {given:?}", kind.label);
            anyhow::Ok(())
        })
        .await?;
    }
    set_policy(&site, "oldest", 2).await?;
    restart(&mut site, &mut Stops::new(), 0, older).await?;

    set_policy(&site, "majority", 3).await?;
    let before = site.stack.companion.metric(SWITCHES).await?;
    let (applying, mut stops) = (Applying::start(&clients(&site)?, &kinds), Stops::new());
    for index in 0..3 {
        restart(&mut site, &mut stops, index, newer).await?;
    }
    switched(&site, before + 1).await?;
    in_envoy(&site).await?;
    let turn = Instant::now();
    for index in 0..3 {
        restart(&mut site, &mut stops, index, older).await?;
    }
    switched(&site, before + 2).await?;
    in_envoy(&site).await?;

    let applied = applying.seen();
    let (there, back): (Vec<_>, Vec<_>) = applied.iter().cloned().partition(|one| one.began < turn);
    for ((label, given), times) in count(&applied) {
        entry.set(&format!("{label}{given:?}"), times);
    }
    entry.set("resets", only_resets(&applied, &kinds, &stops)?);
    let slack = promise::on_busy_machine(SLACK);
    changed_once(&there, Given::Newer, slack)?;
    changed_once(&back, Given::Older, slack)?;
    for kind in &kinds {
        let times = applied.iter().filter(|one| one.label == kind.label).count();
        ensure!(times >= APPLIES, "{} was applied only {times} times", kind.label);
    }
    let switches = site.stack.companion.metric(SWITCHES).await?;
    ensure!(switches == before + 2, "the answering version changed once more");
    entry.passed()
}

#[tokio::test]
async fn one_version_answers_in_an_upgrade_and_back() -> Result<()> {
    one_version_answers("cluster_answering", OLDER, NEWER).await
}

/// One after the other, and only in the matrix: they need the control planes of all versions.
#[cfg(feature = "matrix")]
#[tokio::test]
async fn one_version_answers_in_an_upgrade_of_older_versions_and_back() -> Result<()> {
    for pair in Version::ALL.windows(2).filter(|pair| *pair != Version::NEWEST_PAIR) {
        let &[older, newer] = pair else { continue };
        one_version_answers(&format!("cluster_answering_{older}+{newer}"), older, newer)
            .await
            .with_context(|| format!("{older} and {newer}"))?;
    }
    Ok(())
}

/// Two servers of the answering version are killed in the same moment.
async fn the_other_version_answers_at_once(test: &str, companion: bool) -> Result<()> {
    let mut entry = Entry::begin(test);
    let (older, newer) = (OLDER, NEWER);
    let servers = vec![server(0, older), server(1, older), server(2, newer)];
    let mut site = Site::start_as_shipped(servers).await?;
    let kinds = kinds(&site, 0, 2).await?;
    if !companion {
        site.stack.companion.kill_9();
    }
    let applying = Applying::start(&clients(&site)?, &kinds);
    tokio::time::sleep(SLACK).await;
    let killed = Instant::now();
    for index in [0, 1] {
        site.plane.server_mut(index)?.kill_9();
    }
    let dead = Instant::now();
    tokio::time::sleep(10 * SLACK).await;

    let (before, after): (Vec<_>, Vec<_>) =
        applying.seen().into_iter().partition(|one| one.began < dead);
    let died = before.iter().filter(|one| one.given == Given::Failed);
    ensure!(died.clone().all(|one| one.met_a_stop && one.ended >= killed), "{before:#?}");
    entry.set("diedWithTheirConnection", died.count());
    ensure!(after.iter().all(|one| one.given == Given::Newer), "{:?}", count(&after));
    let first = after.iter().map(|one| one.ended).min().context("no answer")? - killed;
    let slowest = after.iter().map(|one| one.ended - one.began).max().context("no answer")?;
    entry.set_ms("firstAnswerMs", first);
    entry.set_ms("slowestMs", slowest);
    promise::ensure_kept("the other version answered", PROMISE, first)?;
    promise::ensure_kept("the slowest request ended", PROMISE, slowest)?;
    entry.passed()
}

#[tokio::test]
async fn another_version_answers_within_a_second_if_all_of_one_are_killed() -> Result<()> {
    the_other_version_answers_at_once("cluster_answering_killed", true).await
}

#[tokio::test]
async fn another_version_answers_within_a_second_while_no_companion_runs() -> Result<()> {
    the_other_version_answers_at_once("cluster_answering_killed_alone", false).await
}

#[tokio::test]
async fn a_server_counts_as_the_version_that_it_emulates() -> Result<()> {
    let entry = Entry::begin("cluster_answering_emulated");
    let emulating = server(1, NEWER).argument(format!("--emulated-version={OLDER}"));
    let servers = vec![server(0, OLDER), emulating, server(2, NEWER)];
    let site = Site::start_as_shipped(servers).await?;
    let expected = [(OLDER, true), (OLDER, true), (NEWER, false)];
    let expected: [(Value, Value); 3] =
        expected.map(|(version, answers)| (version.as_str().into(), answers.into()));
    // A map is complete without the versions: a read of one may have failed once, or come so late
    // that another version answers first.
    let peers = wait::until("the versions of all", DEADLINE, async || {
        let peers = site.stack.companion.json("/v1/peers").await?;
        let list = peers.as_array().context("no list")?.iter();
        let versions: Vec<_> =
            list.map(|peer| (&peer["minorVersion"], &peer["answering"])).collect();
        ensure!(versions == expected.each_ref().map(|(v, a)| (v, a)), "{peers:#}");
        anyhow::Ok(peers)
    })
    .await?;
    in_envoy(&site).await?;
    let binary = peers.pointer("/1/version").and_then(Value::as_str).unwrap_or_default();
    ensure!(binary.starts_with(&format!("v{NEWER}.")), "{binary}");

    let kinds = kinds(&site, 0, 2).await?;
    // An emulating server treats objects as the older version does, but knows every field of its own.
    let direct = site.direct(1, Http::Two)?;
    let mut alike = Vec::new();
    for kind in &kinds {
        alike.push(apply(&direct, kind).await.given == Given::Older);
    }
    let before = site.landed().await?;
    for client in clients(&site)? {
        for _ in 0..15 {
            for (kind, alike) in kinds.iter().zip(&alike) {
                let applied = apply(&client, kind).await;
                let as_emulated = applied.given == Given::Older;
                ensure!(as_emulated || (!alike && applied.given == Given::Newer), "{applied:#?}");
            }
        }
    }
    let after = site.landed().await?;
    let new = |server: &str| -> u64 {
        let sum = |landed: &harness::site::Landed| -> u64 {
            landed.values().filter_map(|servers| servers.get(server)).sum()
        };
        sum(&after).saturating_sub(sum(&before))
    };
    ensure!(new("cp-0") > 0 && new("cp-1") > 0, "both answer: {after:?}");
    ensure!(new("cp-2") == 0, "a newer server answered: {after:?}");
    entry.passed()
}
