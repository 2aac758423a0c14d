//! `explain` and the filter agree on 2,000 generated requests through Envoy: on the cluster of each,
//! on the answer 503 where no server is asked, and on the number of requests by rule.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::stack::Stack;
use reqwest::Method;
use serde_json::Value;
use wire::client::{Client, Http};

use super::json;

const REQUESTS: usize = 2_000;
const AT_ONCE: usize = 16;

/// Envoy tells which cluster answered, and at which attempt.
const ROUTES: &str = "                      routes:\n";
const SHOWING: &str = "                      response_headers_to_add:
                        - header: { key: x-cluster, value: \"%UPSTREAM_CLUSTER_RAW%\" }
                        - header: { key: x-attempts, value: \"%UPSTREAM_REQUEST_ATTEMPT_COUNT%\" }
                      routes:\n";

const ACCEPT: [&str; 4] = [
    "application/json",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
];

const METHODS: [&str; 7] = ["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE"];

/// Paths of every kind but known types: documents, unknown types, and what is not an API.
const OTHERS: [&str; 24] = [
    "/",
    "/api",
    "/apis",
    "/apis/",
    "/api/v1",
    "/apis/apps",
    "/apis/apps/v1",
    "/apis/admissionregistration.k8s.io",
    "/apis/admissionregistration.k8s.io/v1",
    "/apis/nosuch.example.com",
    "/apis/apps/v9",
    "/apis/apps/v9/deployments",
    "/apis/nosuch.example.com/v1/things",
    "/apis/nosuch.example.com/v1/namespaces/n/things/t/status",
    "/api/v1/namespaces//pods",
    "/api//v1",
    "/api/v1/namespaces/n/pods/p/nosuch",
    "/healthz",
    "/version",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/admissionregistration.k8s.io/v1",
    "/openapi/v3/api/v1",
];

/// A source of numbers that are the same in each run (xorshift64, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.next() % all.len()]
    }
}

/// Returns the group-version, resource and scope of each type of a map.
fn types(map: &Value) -> Vec<(String, String, bool)> {
    let mut types = Vec::new();
    let fields = |value: &Value| value.as_object().unwrap().clone();
    for (group, versions) in fields(&map["groups"]) {
        for (version, sets) in fields(&versions) {
            let prefix = match group.as_str() {
                "" => format!("/api/{version}"),
                _ => format!("/apis/{group}/{version}"),
            };
            for (_, scopes) in fields(&sets) {
                for (scope, names) in fields(&scopes) {
                    let names = names.as_array().unwrap().iter().filter_map(Value::as_str);
                    let of = |name: &str| (prefix.clone(), name.to_owned(), scope == "ns");
                    types.extend(names.map(of));
                }
            }
        }
    }
    types
}

/// Returns a path for a type: mostly one that it has, sometimes one of the other scope.
fn path(numbers: &mut Numbers, (prefix, resource, namespaced): &(String, String, bool)) -> String {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let in_namespace = *namespaced != (numbers.next().is_multiple_of(16));
    let watch = if numbers.next().is_multiple_of(16) { "/watch" } else { "" };
    let namespace = if in_namespace { "/namespaces/default" } else { "" };
    let base = format!("{prefix}{watch}{namespace}/{resource}");
    let escaped = numbers.next().is_multiple_of(16);
    let path = match (subresource, numbers.next() % 4) {
        ("", 0 | 1) => base,
        ("", _) => format!("{base}/some"),
        ("proxy", 0 | 1) => format!("{base}/some/proxy/a/b"),
        (subresource, _) => format!("{base}/some/{subresource}"),
    };
    let path = if escaped { path.replacen("/s", "/%73", 1) } else { path };
    match numbers.next() % 16 {
        0 => format!("{path}?watch=true"),
        1 => format!("{path}?limit=1"),
        2 => format!("{path}/"),
        _ => path,
    }
}

fn generate(numbers: &mut Numbers, map: &Value, skewed: &[(String, String, bool)]) -> Vec<String> {
    let types = types(map);
    let one = |_| {
        let path = match numbers.next() % 4 {
            0 => (*numbers.of(&OTHERS)).to_owned(),
            // There are hundreds of common types, and few others.
            1 => {
                let kind = numbers.of(skewed).clone();
                path(numbers, &kind)
            }
            _ => {
                let kind = numbers.of(&types).clone();
                path(numbers, &kind)
            }
        };
        format!("{} {path}", numbers.of(&METHODS))
    };
    (0..REQUESTS / ACCEPT.len()).map(one).collect()
}

/// Returns the types that some peer in rotation lacks, as `kubectl skew` lists them.
async fn skewed(stack: &Stack) -> Result<Vec<(String, String, bool)>> {
    let matrix = json(&stack.companion, &[]).await?;
    let rows = matrix["types"].as_array().context("no types")?.clone();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let of = |row: &Value| {
        let (group, version) = (text(row, "group"), text(row, "version"));
        let prefix = format!("/apis/{group}/{version}").replace("/apis//", "/api/");
        (prefix, text(row, "resource"), row["namespaced"] == true)
    };
    Ok(rows.iter().map(of).collect())
}

/// Sends a request, and compares where it went with what was explained.
async fn agree(envoy: &Envoy, client: &Client, accept: &str, explained: &Value) -> Result<bool> {
    let (method, path) = (&explained["method"], &explained["path"]);
    let method = Method::from_bytes(method.as_str().context("no method")?.as_bytes())?;
    let request = client.request(method, path.as_str().context("no path")?);
    // The body of a watch has no end.
    let answer = request.header("accept", accept).header("user-agent", "kubectl").send().await?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let attempts: u32 = header("x-attempts").unwrap_or("0").parse()?;
    // What the filter answers by itself has the cluster of the route, and no attempt.
    let cluster = header("x-cluster").filter(|_| attempts > 0);
    let found = format!("{} from {cluster:?} at attempt {attempts}", answer.status());
    // The first decision does not settle a doubtful 404.
    if attempts > 1 && explained["notFound"] == "doubtful" {
        return Ok(false);
    }
    // Otherwise, Envoy asks another server of the cluster only if one did not accept a connection in time.
    if attempts > 1 {
        let failures = format!("cluster.{}.upstream_cx_connect_fail", cluster.unwrap_or_default());
        let failures = envoy.stat(&failures).await?.unwrap_or_default();
        ensure!(failures > 0, "explained as {explained}, found {found}");
    }
    ensure!(explained["cluster"].as_str() == cluster, "explained as {explained}, found {found}");
    ensure!(cluster.is_some() || answer.status() == 503, "explained as {explained}, found {found}");
    Ok(true)
}

#[tokio::test]
async fn explain_and_the_filter_agree_on_two_thousand_requests() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36, Version::V1_37]).await?;
    let mut options = fleet.stack_options()?;
    options.replaced = vec![(ROUTES, SHOWING)];
    let stack = Stack::start_with_map(options).await?;
    // What only the newest serves is unavailable.
    fleet.peer(2)?.set_ready(false);
    stack.wait_for_map("two peers in rotation", |map| map.rotation.len() == 2).await?;
    stack.wait_for_map("a settled map", |map| !map.just_left).await?;

    let client = fleet.client(&stack.url(), Http::Two)?;
    let (map, skewed) = (stack.map().await?, skewed(&stack).await?);
    let file = fleet.folder().join("requests");
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let (mut rules, mut at_first) = (BTreeMap::<String, usize>::new(), 0);
    for accept in ACCEPT {
        fs::write(&file, generate(&mut numbers, &map, &skewed).join("\n"))?;
        let file = file.to_str().context("not UTF-8")?;
        let all = json(&stack.companion, &["explain", "--accept", accept, "--file", file]).await?;
        let all = all.as_array().context("no list")?;
        let answers =
            stream::iter(all).map(|explained| agree(&stack.envoy, &client, accept, explained));
        let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).try_collect().await?;
        at_first += answers.into_iter().filter(|is_first| *is_first).count();
        for explained in all {
            let rule = explained["rule"].as_str().context("no rule")?;
            *rules.entry(rule.to_owned()).or_default() += 1;
        }
    }
    ensure!(rules.values().sum::<usize>() == REQUESTS && at_first > REQUESTS * 3 / 4, "{at_first}");
    for rule in ["not_an_api", "discovery", "common", "skewed", "unavailable", "unknown"] {
        let count = *rules.get(rule).with_context(|| format!("no request is {rule}: {rules:?}"))?;
        let exact = f64::from(u32::try_from(count)?);
        let found = stack.decisions(rule, exact).await?;
        ensure!((found - exact).abs() < 0.5, "{count} explained as {rule}, {found} decided so");
    }
    Ok(())
}
