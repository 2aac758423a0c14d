//! OpenAPI of a plain server and of a newer one that emulates 1.35 through Envoy: every client sees
//! the union of what both describe, in each form, whichever version answers.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifact;
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::report::Entry;
use harness::site::stack_options;
use harness::skew::{NEWER, OLDER};
use harness::stack::Stack;
use harness::wait::until;
use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

use super::discovery::program::Program;

/// The group-version in which the servers differ, and the type that came after 1.35.
const DOCUMENT: &str = "apis/admissionregistration.k8s.io/v1";
const TYPE: &str = "mutatingadmissionpolicies";

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

const ROUNDS: usize = 20;

#[tokio::test]
async fn open_api_is_the_union_whichever_version_answers() -> Result<()> {
    let mut entry = Entry::begin("cluster_open_api");
    let servers = vec![
        ServerOptions::new("plain", OLDER),
        ServerOptions::new("emulating", NEWER).argument("--emulated-version=1.35"),
    ];
    let plane = ControlPlane::start_with(servers).await?;
    let expected = union(&plane).await?;
    ensure!(expected.iter().any(|path| path.ends_with(TYPE)), "{expected:?}");
    // Of the plain server alone, the document has everything; that of 1.35 must be merged.
    for (policy, answering) in [("newest", OLDER.as_str()), ("oldest", "1.35")] {
        let mut options = stack_options(&plane, policy)?;
        options.companion = json!({ "answeringVersion": policy });
        let stack = Stack::start_with_map(options).await?;
        let figures = checked(&plane, &stack, answering, &expected).await;
        entry.set(policy, figures.with_context(|| policy.to_owned())?);
    }
    entry.passed()
}

/// Returns the paths that the servers' own documents have.
async fn union(plane: &ControlPlane) -> Result<BTreeSet<String>> {
    let mut union = BTreeSet::new();
    for server in plane.servers() {
        let direct = plane.client(&server.url(), User::Admin, Http::Two)?;
        let path = format!("/openapi/v3/{DOCUMENT}");
        union.extend(paths(&ask(&direct, &path, JSON).await?.ok()?.json()?)?);
    }
    Ok(union)
}

async fn checked(
    plane: &ControlPlane,
    stack: &Stack,
    answering: &str,
    expected: &BTreeSet<String>,
) -> Result<Value> {
    let client = |round: usize| {
        let http = if round.is_multiple_of(2) { Http::Two } else { Http::One };
        plane.client(&stack.url(), User::Admin, http)
    };
    // A connection has one of Envoy's workers, and each of them gets a map by itself.
    until("the document is the union", Duration::from_secs(60), async || {
        for round in 0..ROUNDS {
            let client = client(round)?;
            let url = url_of_document(&client).await?;
            let answer = ask(&client, &url, JSON).await?.ok()?.json()?;
            ensure!(paths(&answer)? == *expected, "it is not");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let first = client(0)?;
    let url = url_of_document(&first).await?;
    let mut sizes = Vec::new();
    for (accept, content_type) in [(JSON, JSON), (PROTOBUF, PROTOBUF), (OLD_PROTOBUF, PROTOBUF)] {
        let mut bodies = BTreeSet::new();
        for round in 0..ROUNDS {
            let client = client(round)?;
            ensure!(url_of_document(&client).await? == url, "the index changes");
            let answer = ask(&client, &url, accept).await?.ok()?;
            has_the_headers_of_a_server(&answer, content_type)?;
            bodies.insert(answer.body);
        }
        ensure!(bodies.len() == 1, "{} different documents as {accept}", bodies.len());
        let body = bodies.pop_first().unwrap_or_default();
        if accept == JSON {
            let document: Value = serde_json::from_slice(&body)?;
            ensure!(paths(&document)? == *expected, "it is not the union");
            let version = document.pointer("/info/version").and_then(Value::as_str);
            ensure!(version == Some(answering), "{version:?} describes what both have");
        }
        let has = |path: &&String| body.windows(path.len()).any(|bytes| bytes == path.as_bytes());
        let missing: Vec<_> = expected.iter().filter(|path| !has(path)).collect();
        ensure!(missing.is_empty(), "not in {accept}: {missing:?}");
        sizes.push(body.len());
    }
    redirects(&first, &url).await?;
    explains(plane, stack).await?;
    for round in 0..4 {
        let v2 = ask(&client(round)?, "/openapi/v2", JSON).await?.ok()?.json()?;
        ensure!(paths(&v2)?.iter().any(|path| path.ends_with(TYPE)), "not in OpenAPI v2");
    }
    let map = stack.map().await?;
    let documents = map.get("documents").and_then(Value::as_array).cloned().unwrap_or_default();
    let merged = documents.iter().filter(|document| {
        let path = document.get("path").and_then(Value::as_str).unwrap_or_default();
        path.starts_with("/openapi/v3/")
    });
    Ok(json!({
        "bytes": sizes,
        "paths": expected.len(),
        "mergedInMap": merged.count(),
        "mapBytes": map.to_string().len(),
    }))
}

fn has_the_headers_of_a_server(answer: &Answer, content_type: &str) -> Result<()> {
    let expected = [
        ("content-type", content_type),
        ("vary", "Accept"),
        ("cache-control", "public, immutable"),
    ];
    for (name, value) in expected {
        ensure!(answer.header(name) == Some(value), "{name}: {:?}", answer.headers);
    }
    for name in ["etag", "expires", "audit-id"] {
        ensure!(answer.header(name).is_some(), "no {name}: {:?}", answer.headers);
    }
    Ok(())
}

/// A client with the hash of a server's own document, or any other, is sent to the right one.
async fn redirects(client: &Client, url: &str) -> Result<()> {
    let (path, _) = url.split_once('?').context("no hash")?;
    let answer = ask(client, &format!("{path}?hash=0A1B"), JSON).await?;
    ensure!(answer.status == StatusCode::MOVED_PERMANENTLY, "{}", answer.status);
    ensure!(answer.header("location") == Some(url), "{:?}", answer.headers);
    let answer = ask(client, path, "text/html").await?;
    ensure!(answer.status == StatusCode::NOT_ACCEPTABLE, "{}", answer.status);
    let answer = ask(client, path, JSON).await?.ok()?;
    ensure!(answer.header("cache-control") == Some("no-cache, private"), "{:?}", answer.headers);
    Ok(())
}

/// kubectl knows the fields of the type that only one server has: a new one by OpenAPI v3, 1.20 by v2.
async fn explains(plane: &ControlPlane, stack: &Stack) -> Result<()> {
    let newest = Program::new(Artifact::ControlPlane(NEWER).path()?).argument("kubectl");
    let oldest = Program::named_by("MVP_KUBECTL_1_20")?;
    let kubeconfig = plane.kubeconfig(&stack.url(), User::Admin)?;
    for kubectl in [newest, oldest] {
        for _ in 0..5 {
            let cache = tempfile::tempdir()?;
            let kubectl = kubectl
                .clone()
                .argument(format!("--kubeconfig={}", kubeconfig.display()))
                .argument(format!("--cache-dir={}", cache.path().display()));
            let said = kubectl.run(&["explain", &format!("{TYPE}.spec")]).await?.ok()?;
            ensure!(said.contains("reinvocationPolicy"), "{said}");
        }
    }
    Ok(())
}

/// Returns the URL of the document in the index.
async fn url_of_document(client: &Client) -> Result<String> {
    let index = ask(client, "/openapi/v3", JSON).await?.ok()?.json()?;
    let url = index.pointer(&format!("/paths/{}", DOCUMENT.replace('/', "~1")));
    let url = url.and_then(|entry| entry.get("serverRelativeURL")).and_then(Value::as_str);
    Ok(url.context("not in the index")?.to_owned())
}

fn paths(document: &Value) -> Result<BTreeSet<String>> {
    let paths = document.get("paths").and_then(Value::as_object).context("no paths")?;
    Ok(paths.keys().cloned().collect())
}

async fn ask(client: &Client, path: &str, accept: &str) -> Result<Answer> {
    client.send(client.request(reqwest::Method::GET, path).header("accept", accept)).await
}
