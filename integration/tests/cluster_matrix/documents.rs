//! Discovery documents in every form that is merged: each is the union of all
//! servers' and the same bytes on every connection.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::site::Site;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use wire::client::{Answer, Client, Http};

use super::contents::named;
use super::types::AGGREGATED;

/// How often each document is asked for in each form.
const ROUNDS: usize = 20;

const JSON: &str = "application/json";

/// Asks for documents that differ and some that may not. Returns how many
/// requests that were.
pub async fn are_the_union(site: &Site, skewed: &[&str]) -> Result<usize> {
    let served = names_of_servers(site, "/apis", AGGREGATED).await?;
    let mut requests = 0;
    for path in paths(skewed) {
        let root = matches!(path.as_str(), "/api" | "/apis");
        for form in [JSON, AGGREGATED].into_iter().take(if root { 2 } else { 1 }) {
            let expected = names_of_servers(site, &path, form).await?;
            let body = same_each_time(site, &path, form).await?;
            let names = named(&serde_json::from_slice(&body)?)?;
            let missing: Vec<_> = expected.difference(&names).collect();
            ensure!(missing.is_empty(), "{path} as {form}: {missing:?} are missing");
            let surplus = names.difference(&expected).filter(|name| !served.contains(*name));
            let surplus: Vec<_> = surplus.collect();
            ensure!(surplus.is_empty(), "{path} as {form}: no server has {surplus:?}");
            requests += ROUNDS;
        }
    }
    Ok(requests)
}

/// The roots, two common groups, and the groups of the types that differ.
fn paths(skewed: &[&str]) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> =
        ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"].map(str::to_owned).into();
    for collection in skewed {
        let above = |path: &str| path.rsplit_once('/').map(|(above, _)| above.to_owned());
        let version = above(collection);
        let group = version.as_deref().and_then(above).filter(|path| path.contains("apis/"));
        paths.extend(version);
        paths.extend(group);
    }
    paths
}

/// Returns what the servers' own documents name, together.
async fn names_of_servers(site: &Site, path: &str, form: &str) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for server in 0..site.plane.servers().len() {
        let answer = ask(&site.direct(server, Http::Two)?, path, form).await?;
        if answer.status != StatusCode::NOT_FOUND {
            let document: Value = answer.ok()?.json()?;
            all.extend(named(&document)?);
        }
    }
    ensure!(!all.is_empty(), "no server has {path}");
    Ok(all)
}

/// Returns the body, which is the same on connections of their own.
async fn same_each_time(site: &Site, path: &str, form: &str) -> Result<Vec<u8>> {
    let mut first: Option<Answer> = None;
    for round in 0..ROUNDS {
        let http = if round.is_multiple_of(2) { Http::Two } else { Http::One };
        let answer = ask(&site.client(http)?, path, form).await?.ok()?;
        let first = first.get_or_insert_with(|| answer.clone());
        ensure!(answer.body == first.body, "{path} as {form}: another body in round {round}");
        let types = (answer.header("content-type"), first.header("content-type"));
        ensure!(types.0 == types.1, "{path} as {form}: {types:?}");
    }
    Ok(first.context("no answer")?.body)
}

async fn ask(client: &Client, path: &str, form: &str) -> Result<Answer> {
    client.send(client.request(Method::GET, path).header("accept", form)).await
}
