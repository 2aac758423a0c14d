//! Discovery documents in every form that is merged: each is the union of all
//! servers' and the same bytes on every connection, and all forms say the same.

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
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";

/// Asks for documents that differ and some that may not. Returns how many
/// requests that were.
pub async fn are_the_union(site: &Site, skewed: &[&str]) -> Result<usize> {
    let served = names_of_servers(site, "/apis", AGGREGATED).await?;
    let mut requests = 0;
    for path in paths(skewed) {
        requests += forms(site, &path, "", &served).await.with_context(|| path.clone())?;
        if matches!(path.as_str(), "/api" | "/apis") {
            let (_, aggregated) = AGGREGATED.split_once(';').context("no parameters")?;
            let parameters = format!(";{aggregated}");
            let asked = forms(site, &path, &parameters, &served).await;
            requests += asked.with_context(|| format!("{path}, aggregated"))?;
        }
    }
    Ok(requests)
}

/// One document in all forms, each with these parameters of its media type.
async fn forms(
    site: &Site,
    path: &str,
    parameters: &str,
    served: &BTreeSet<String>,
) -> Result<usize> {
    let form = |media_type: &str| {
        let media_types = media_type.split(',').map(|one| format!("{one}{parameters}"));
        media_types.collect::<Vec<_>>().join(",")
    };
    let expected = names_of_servers(site, path, &form(JSON)).await?;
    let json = same_each_time(site, path, &form(JSON)).await?;
    let document: Value = serde_json::from_slice(&json)?;
    let names = named(&document)?;
    let missing: Vec<_> = expected.difference(&names).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing");
    let surplus = names.difference(&expected).filter(|name| !served.contains(*name));
    let surplus: Vec<_> = surplus.collect();
    ensure!(surplus.is_empty(), "no server has {surplus:?}");

    let indented = same_each_time(site, &format!("{path}?pretty=true"), &form(JSON)).await?;
    ensure!(indented != json, "it is not indented");
    ensure!(serde_json::from_slice::<Value>(&indented)? == document, "indented, it differs");
    let yaml = String::from_utf8(same_each_time(site, path, &form(YAML)).await?)?;
    ensure!(serde_saphyr::from_str::<Value>(&yaml)? == document, "in YAML it differs");
    let protobuf = same_each_time(site, path, &form(PROTOBUF)).await?;
    ensure!(protobuf.starts_with(b"k8s\0"), "it is not protobuf");
    for word in names.iter().flat_map(|name| name.split('/')).filter(|word| !word.is_empty()) {
        let found = protobuf.windows(word.len()).any(|bytes| bytes == word.as_bytes());
        ensure!(found, "in protobuf, {word} is missing");
    }
    Ok(4 * ROUNDS)
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
        ensure!(answer.body == first.body, "as {form}: another body in round {round}");
        let types = (answer.header("content-type"), first.header("content-type"));
        ensure!(types.0 == types.1, "as {form}: {types:?}");
    }
    Ok(first.context("no answer")?.body)
}

async fn ask(client: &Client, path: &str, form: &str) -> Result<Answer> {
    client.send(client.request(Method::GET, path).header("accept", form)).await
}
