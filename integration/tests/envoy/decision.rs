//! Who learns how a request was decided: users of a configured group by a response header, and whoever
//! reads the access log. Envoy with the filter in front of a fake 1.35 (`cp-1`) and a fake 1.36 (`cp-2`).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::{DECISION_HEADER, DiscoveryMap, MapDocument};
use fake_apiserver::Version;
use fake_apiserver::replay::Canned;
use futures_util::StreamExt;
use harness::artifacts::integration_folder;
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use reqwest::Method;
use reqwest::header::HeaderValue;
use routing::status::Encoding;
use routing::{RequestFacts, RequestPath, plan};
use serde_json::{Value, json};
use wire::client::{Client, ClientOptions, Http};

const COMMON: &str = "/api/v1/namespaces/default/configmaps";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const GROUP: &str = "sre";

const DEADLINE: Duration = Duration::from_secs(30);

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    options.companion = json!({ "decisionHeaderGroups": [GROUP] });
    let stack = Stack::start_with_map(options).await?;
    stack.wait_for_storage_versions().await?;
    Ok((fleet, stack))
}

/// Returns a client with a certificate of these groups.
fn user(fleet: &Fleet, stack: &Stack, groups: &[&str]) -> Result<Client> {
    let name = format!("user-{}", groups.join("-"));
    Client::new(&ClientOptions {
        url: stack.url(),
        ca_pem: fleet.pki().ca_pem(),
        token: None,
        certificate: Some(fleet.pki().client(&name, &name, groups)?),
        http: Http::Two,
    })
}

#[tokio::test]
async fn users_of_the_group_are_told_and_nobody_else() -> Result<()> {
    let (mut fleet, stack) = start().await?;
    let told = user(&fleet, &stack, &["dev", GROUP])?;
    let only_cp_2 = "servers=(\"cp-2\")";
    let skewed = format!("reason=skewed, {only_cp_2}");
    let merged = format!("reason=discovery, {only_cp_2}, merged");
    for (path, accept, status, expected) in [
        (COMMON, "", 200, "reason=common"),
        (POLICIES, "", 200, &*skewed),
        ("/healthz", "", 200, "reason=not_an_api"),
        // The filter's own answer, and one that all servers gave.
        ("/apis", AGGREGATED, 200, &*merged),
        ("/apis/nosuch.io/v1/foos", "", 404, "reason=unknown"),
    ] {
        let answer = told.send_with(Method::GET, path, &[("accept", accept)]).await?;
        let found = (answer.status.as_u16(), answer.header(DECISION_HEADER));
        assert_eq!(found, (status, Some(expected)), "{path}");
    }

    let others = [
        user(&fleet, &stack, &["dev"])?,
        fleet.client(&stack.url(), Http::One)?,
        fleet.client(&stack.url(), Http::Two)?,
    ];
    // A client cannot claim the group, nor can a server send the header.
    let mut forged = Canned::default();
    forged.headers.insert(DECISION_HEADER, HeaderValue::from_static("forged"));
    for peer in &fleet.peers {
        peer.answer_with("/api/v1/namespaces/default/secrets", forged.clone());
    }
    let claims =
        [("x-remote-group", GROUP), ("x-remote-user", "jane"), (DECISION_HEADER, "reason=common")];
    for client in others {
        for path in [COMMON, POLICIES, "/apis", "/api/v1/namespaces/default/secrets"] {
            let answer = client.send_with(Method::GET, path, &claims).await?;
            assert_eq!(answer.header(DECISION_HEADER), None, "{path}");
        }
    }

    fleet.peer(1)?.set_ready(false);
    stack.wait_for_map("one server", |map| map.rotation.len() == 1).await?;
    let answer = told.get(POLICIES).await?;
    let found = (answer.status.as_u16(), answer.header(DECISION_HEADER));
    let unavailable = format!("reason=unavailable, {only_cp_2}");
    assert_eq!(found, (503, Some(&*unavailable)));
    Ok(())
}

#[tokio::test]
async fn the_header_says_what_the_map_says_of_every_type() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = user(&fleet, &stack, &[GROUP])?;
    let json = serde_json::to_vec(&stack.map().await?)?;
    let document: MapDocument = serde_json::from_slice(&json)?;
    let map = DiscoveryMap::from_json(&json)?;
    let paths = paths(&document);
    let accepts = ["application/json", "application/vnd.kubernetes.protobuf", AGGREGATED];
    let methods = [Method::GET, Method::HEAD, Method::DELETE];
    let mut requests = Vec::new();
    for path in &paths {
        for accept in accepts {
            requests.extend(methods.iter().map(|method| (method, path.as_str(), accept)));
        }
    }
    ensure!(requests.len() >= 2000, "only {} requests", requests.len());
    let asked = requests.into_iter().map(async |(method, path, accept)| {
        let (expected, reason) = decided(&map, method, path, accept);
        let answer = client.send_with(method.clone(), path, &[("accept", accept)]).await?;
        assert_eq!(answer.header(DECISION_HEADER), Some(&*expected), "{method} {path} {accept}");
        anyhow::Ok(reason)
    });
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(16);
    let mut reasons = BTreeMap::<_, usize>::new();
    while let Some(reason) = answers.next().await {
        *reasons.entry(reason?).or_default() += 1;
    }
    println!("{reasons:?}");
    ensure!(reasons.len() >= 4, "{reasons:?}");
    Ok(())
}

/// Returns what the header must say, and the reason.
fn decided(
    map: &DiscoveryMap,
    method: &Method,
    path: &str,
    accept: &str,
) -> (String, &'static str) {
    let facts = RequestFacts {
        path: RequestPath::new(path.as_bytes()),
        method: method.as_str().as_bytes(),
        accept: accept.as_bytes(),
        encoding: Encoding::from_accept(accept.as_bytes()),
        user_agent: b"",
        accept_encoding: b"",
        if_none_match: None,
        has_certificate: true,
    };
    let planned = plan(&facts, map);
    (planned.trace(map), planned.reason.as_str())
}

/// Paths of every resource, and of every document, that the map has, and of others.
fn paths(document: &MapDocument) -> Vec<String> {
    let mut paths = vec!["/healthz".to_owned(), "/openapi/v2".to_owned(), "/nosuch".to_owned()];
    for (group, versions) in &document.groups {
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        paths.push(root.clone());
        for (version, sets) in &versions.0 {
            let base = format!("{root}/{version}");
            paths.push(base.clone());
            paths.push(format!("{base}/nosuch"));
            for resources in sets.0.values() {
                for name in &resources.namespaced {
                    paths.push(path_of(&format!("{base}/namespaces/default"), name));
                }
                for name in &resources.cluster_scoped {
                    paths.push(path_of(&base, name));
                    paths.push(path_of(&format!("{base}/namespaces/default"), name));
                }
            }
        }
    }
    paths
}

fn path_of(base: &str, name: &str) -> String {
    match name.split_once('/') {
        Some((resource, subresource)) => format!("{base}/{resource}/x/{subresource}"),
        None => format!("{base}/{name}"),
    }
}

#[tokio::test]
async fn the_access_log_has_the_decision_of_requests_that_not_every_server_can_answer() -> Result<()>
{
    let (fleet, mut stack) = start().await?;
    let log = fleet.folder().join("access.log");
    let mut options = stack.envoy.options().clone();
    let path = log.to_str().context("not UTF-8")?;
    options = options.replacing(
        "                stat_prefix: kubernetes\n",
        &format!("                stat_prefix: kubernetes\n{}", access_log(path)?),
    )?;
    stack.envoy.stop().await?;
    stack.envoy = Envoy::start(options).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let expected = [
        (COMMON, Value::Null),
        (POLICIES, json!("reason=skewed, servers=(\"cp-2\")")),
        ("/apis/nosuch.io/v1/foos", json!("reason=unknown")),
    ];
    for (path, _) in &expected {
        client.get(path).await?;
    }
    let lines = wait::until("the log", DEADLINE, async || {
        let text = fs::read_to_string(&log)?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(lines.len() >= expected.len(), "{text}");
        anyhow::Ok(lines)
    })
    .await?;
    for (path, decision) in &expected {
        let line = lines.iter().find(|line| line.get("path") == Some(&json!(path)));
        let line = line.with_context(|| format!("no line of {path}: {lines:?}"))?;
        assert_eq!(line.get("decision"), Some(decision), "{path}");
    }
    Ok(())
}

/// An access log with the field as the load balancer's file has it.
fn access_log(file: &str) -> Result<String> {
    let shipped = integration_folder().join("../envoy-config/load-balancer/envoy.yaml");
    let shipped = fs::read_to_string(shipped)?;
    let field = shipped.lines().find(|line| line.trim().starts_with("decision: "));
    let field = field.context("no field of the decision")?.trim();
    Ok(format!(
        "                access_log:
                  - name: envoy.access_loggers.file
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
                      path: {file}
                      log_format:
                        json_format:
                          path: \"%PATH(NQ)%\"
                          {field}
"
    ))
}
