//! One corpus through an Envoy without the filter and through one in shadow mode.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::PEER_HEADER;
use harness::fleet::Fleet;
use harness::stack::{Stack, StackOptions};
use reqwest::Method;
use serde_json::{Value, json};
use wire::capture::{Capture, CapturedRequest};
use wire::client::{Answer, Client, Http};

pub const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// As often as it takes for round robin to have met every peer.
pub const ROUNDS: usize = 8;

const PATHS: [&str; 20] = [
    "/",
    "/healthz",
    "/version",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/admissionregistration.k8s.io",
    "/apis/admissionregistration.k8s.io/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/admissionregistration.k8s.io/v1",
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/configmaps?limit=1",
    "/api/v1/namespaces/default/configmaps/absent",
    "/api/v1/pods/of-no-namespace",
    "/api/v1/nosuch",
    "/apis/nosuch.io/v1/foos",
    "/api/v1//pods%2F",
    POLICIES,
    "/api/v1/namespaces/default/pods/p/proxy/x",
];

const ACCEPTS: [&str; 4] =
    ["application/json", AGGREGATED, "application/vnd.kubernetes.protobuf", "application/yaml"];

/// What differs from one answer to the next of the same server.
const OF_THE_MOMENT: [&str; 2] = ["date", "audit-id"];

/// An answer without what differs each time.
type Rendered = (u16, Vec<(String, Vec<u8>)>, Vec<u8>);

/// An Envoy in front of the same servers, without the filter or in shadow mode.
async fn stack(mut options: StackOptions, filter: bool) -> Result<Stack> {
    options.folder = options.folder.join(if filter { "shadow" } else { "plain" });
    options.filter = filter;
    options.companion = json!({ "mode": "shadow" });
    // Shadow mode prefers no version, whatever the policy.
    options.answering_version = filter.then_some("newest").or(Some("any"));
    if filter { Stack::start_with_map(options).await } else { Stack::start(options).await }
}

/// Compares what clients get of each server.
pub(crate) async fn responses(fleet: &Fleet) -> Result<()> {
    let plain = stack(fleet.stack_options()?, false).await?;
    let shadow = stack(fleet.stack_options()?, true).await?;
    let mut compared = 0;
    for http in [Http::One, Http::Two] {
        let clients = [&plain, &shadow].map(|stack| fleet.client(&stack.url(), http));
        let [plain, shadow] = clients;
        let (plain, shadow) = (plain?, shadow?);
        let accepts = if http == Http::One { 1 } else { ACCEPTS.len() };
        for path in PATHS {
            for accept in ACCEPTS.iter().take(accepts) {
                for method in [Method::GET, Method::HEAD] {
                    let case = format!("{method} {path} {accept} {http:?}");
                    let expected = of_each_server(&plain, &method, path, accept).await?;
                    let found = of_each_server(&shadow, &method, path, accept).await?;
                    assert_eq!(expected.len(), 2, "{case}");
                    ensure!(expected == found, "{case}:\n{expected:?}\n{found:?}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 20 * (1 + 4) * 2);
    Ok(())
}

async fn of_each_server(
    client: &Client,
    method: &Method,
    path: &str,
    accept: &str,
) -> Result<BTreeMap<String, Rendered>> {
    let mut of_servers = BTreeMap::new();
    for _ in 0..ROUNDS {
        let answer = client.send_with(method.clone(), path, &[("accept", accept)]).await?;
        let server = answer.header(PEER_HEADER).context("not of a server")?.to_owned();
        let rendered = rendered(answer);
        let known = of_servers.entry(server).or_insert_with(|| rendered.clone());
        ensure!(*known == rendered, "{method} {path} {accept}: {known:?}, then {rendered:?}");
        if of_servers.len() == 2 {
            break;
        }
    }
    Ok(of_servers)
}

fn rendered(answer: Answer) -> Rendered {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let kept = headers.filter(|(name, _)| !OF_THE_MOMENT.contains(name));
    let headers = kept.map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    (answer.status.as_u16(), headers, answer.body)
}

/// Compares what servers get of clients.
pub(crate) async fn requests() -> Result<()> {
    let mut arrived = Vec::new();
    for filter in [false, true] {
        let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
        let captures = fleet.captures().await?;
        let stack = stack(fleet.captured_stack_options(&captures)?, filter).await?;
        for http in [Http::One, Http::Two] {
            let client = fleet.client(&stack.url(), http)?;
            for path in PATHS {
                for accept in ACCEPTS {
                    get_and_post(&client, path, accept).await?;
                }
            }
        }
        let requests = captures.iter().flat_map(Capture::requests);
        let port = format!(":{}", stack.port());
        let mut parts: Vec<_> = requests.map(|request| parts(&request, &port)).collect();
        // Which server got which does not matter.
        parts.sort();
        arrived.push(parts);
    }
    let [plain, shadow] = &arrived[..] else { unreachable!("two stacks") };
    assert_eq!(plain.len(), 2 * 20 * 4 * 2);
    for (expected, found) in plain.iter().zip(shadow) {
        assert_eq!(expected, found);
    }
    assert_eq!(plain.len(), shadow.len());
    Ok(())
}

async fn get_and_post(client: &Client, path: &str, accept: &str) -> Result<()> {
    let headers = [
        ("accept", accept),
        ("if-none-match", "\"x\""),
        ("x-other", "1"),
        ("x-other", "2"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=1"),
        ("user-agent", "kubectl/v1.36.3"),
    ];
    client.send_with(Method::GET, path, &headers).await?;
    let body: Value = json!({ "kind": "ConfigMap", "metadata": { "name": "x" } });
    client.post(path, &body).await.map(|_| ())
}

/// All that a server gets, but for Envoy's own port.
fn parts(request: &CapturedRequest, port: &str) -> (String, Vec<String>, Vec<u8>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(port, "");
    let start = format!(
        "{} {} {:?} {}",
        text(&request.method),
        text(&request.path),
        request.protocol,
        request.certificate.is_some()
    );
    let headers = request.headers.iter().chain(&request.trailers);
    let lines = headers.map(|(name, value)| format!("{}: {}", text(name), text(value)));
    (start, lines.collect(), request.body.clone())
}
