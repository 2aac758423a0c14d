//! The newest pair of versions; with the feature `matrix`, each pair, each three
//! neighbors, and all of them at once: whatever a request asks for, it gets the answer of a server that
//! has it, on every connection.
//!
//! What the versions differ in is read from the servers themselves, so nothing
//! here knows a type, and a new version needs no change.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::User;
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::skew::{differing, matrix, name};
use harness::stack::Stack;
use serde_json::{Value, json};
use wire::client::Http;

mod types;

use super::discovery::encodings;
use types::Types;

/// Requests for each type that not all servers serve.
const SKEWED_ROUNDS: usize = 20;

/// Requests through plain round robin, to see what the filter prevents.
const PLAIN_ROUNDS: usize = 20;

/// One after the other: each has a control plane of its own.
#[tokio::test]
async fn each_combination_of_versions_answers_as_one() -> Result<()> {
    let mut entry = Entry::begin("cluster_matrix");
    let mut failures = Vec::new();
    for versions in combinations() {
        let name = name(&versions);
        match combination(&versions).await {
            Ok(figures) => entry.set(&name, figures),
            Err(error) => {
                entry.set(&name, json!({ "failed": format!("{error:#}") }));
                failures.push(format!("{name}: {error:?}"));
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    entry.passed()
}

fn combinations() -> Vec<Vec<Version>> {
    if cfg!(feature = "matrix") { matrix() } else { vec![Version::NEWEST_PAIR.to_vec()] }
}

/// Peers' names have no dots.
fn server_name(version: Version) -> String {
    version.to_string().replace('.', "-")
}

async fn combination(versions: &[Version]) -> Result<Value> {
    let started = Instant::now();
    let mut site = Site::start(differing(versions, server_name)?).await?;
    let types = Types::read(&site).await?;
    let skewed: Vec<_> = types.skewed().collect();
    ensure!(!skewed.is_empty(), "the servers do not differ");
    let wrong = wrong_without_filter(&site, &skewed).await?;
    ensure!(wrong > 0, "plain round robin gives no wrong 404: the test proves nothing");
    for collection in &skewed {
        for round in 0..SKEWED_ROUNDS {
            let http = if round.is_multiple_of(2) { Http::Two } else { Http::One };
            let answer = site.client(http)?.get(collection).await?;
            ensure!(answer.status == 200, "{collection}: {} {}", answer.status, answer.text());
        }
    }
    let client = site.client(Http::Two)?;
    for collection in types.common() {
        let answer = client.get(collection).await?;
        ensure!(answer.status == 200, "{collection}: {} {}", answer.status, answer.text());
    }
    let own = encodings::are_as_servers_write_them(&site).await?;
    // Requests that all servers can answer are now answered by all of them in turn.
    let mut options = stack_options(&site.plane, "any")?;
    options.companion = json!({ "answeringVersion": "any" });
    site.stack = Stack::start_with_map(options).await?;
    let encodings = encodings::say_the_same_every_time(&site).await?;
    Ok(json!({
        "seconds": started.elapsed().as_secs(),
        "typesOfSome": skewed,
        "typesOfAll": types.common().count(),
        "withoutFilterWrong404s": wrong,
        "skewedRequests": skewed.len() * SKEWED_ROUNDS,
        "serversEncodings": own,
        "encodings": encodings,
    }))
}

/// Counts what plain round robin does with requests for a type of some servers.
async fn wrong_without_filter(site: &Site, skewed: &[&str]) -> Result<usize> {
    let mut options = stack_options(&site.plane, "plain")?;
    options.filter = false;
    let stack = Stack::start(options).await?;
    let client = site.plane.client(&stack.url(), User::Admin, Http::Two)?;
    let collection = skewed.first().context("no type")?;
    let mut wrong = 0;
    for _ in 0..PLAIN_ROUNDS {
        wrong += usize::from(client.get(collection).await?.is_type_level_404());
    }
    Ok(wrong)
}
