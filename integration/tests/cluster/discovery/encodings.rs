//! Every discovery document in every encoding: what servers write, and what comes through Envoy.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::DocumentEncoding;
use harness::site::Site;
use harness::wait;
use reqwest::{Method, StatusCode};
use routing::encode;
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

use super::contents::{array, named};

/// How often each document is asked for in each encoding.
const ROUNDS: usize = 20;

/// Until the companion has read how the servers store each type.
const SETTLED: Duration = Duration::from_secs(30);

const PLAIN: &str = "";
const V2: &str = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = ";g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The documents that span groups, with the parameters of their media type. Servers have no v2beta1
/// since 1.33, so `/api` has it only where the servers differ there.
const ROOTS: [(&str, &str); 5] =
    [("/api", V2), ("/api", PLAIN), ("/apis", V2), ("/apis", V2BETA1), ("/apis", PLAIN)];

/// An encoding, its media type below `application/`, and a client that gets it.
const ENCODINGS: [(DocumentEncoding, &str, &str); 4] = [
    (DocumentEncoding::Json, "json", "kubectl/v1.36.3"),
    (DocumentEncoding::IndentedJson, "json", "curl/8.14.1"),
    (DocumentEncoding::Yaml, "yaml", "kubectl/v1.36.3"),
    (DocumentEncoding::Protobuf, "vnd.kubernetes.protobuf", "kubectl/v1.36.3"),
];

/// Checks that servers' own documents in each encoding have the bytes that their JSON is encoded
/// to here. Returns how many there are.
pub async fn are_as_servers_write_them(site: &Site) -> Result<Value> {
    let mut compared = 0;
    let mut failures = Vec::new();
    for server in 0..site.plane.servers().len() {
        let client = site.direct(server, Http::Two)?;
        for (path, parameters) in documents(&client).await? {
            if parameters == V2BETA1 {
                continue;
            }
            let [json, others @ ..] = ENCODINGS;
            let json = send(&client, &path, parameters, json).await?;
            // A server lists the group-versions of others too, for they share APIServices.
            if json.status == StatusCode::NOT_FOUND {
                continue;
            }
            let json = json.ok()?.body;
            for encoding in others {
                let own = ask(&client, &path, parameters, encoding).await?.body;
                if encode(&json, encoding.0).as_ref() != Some(&own) {
                    failures.push(format!("{path}{parameters} as {:?} of {server}", encoding.0));
                }
                compared += 1;
            }
        }
    }
    ensure!(failures.is_empty(), "{} differ: {failures:?}", failures.len());
    ensure!(compared > 200, "only {compared} documents");
    Ok(json!({ "documents": compared }))
}

/// Checks that each document through Envoy is the union of the servers' own, the same in each
/// encoding, and the same every time. Returns figures.
pub async fn say_the_same_every_time(site: &Site) -> Result<Value> {
    let mut paths = BTreeSet::new();
    for server in 0..site.plane.servers().len() {
        paths.extend(documents(&site.direct(server, Http::Two)?).await?);
    }
    let clients = (0..ROUNDS)
        .map(|round| site.client(if round.is_multiple_of(2) { Http::Two } else { Http::One }));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    let served = union(site, "/apis", V2).await?;
    let (mut asked, mut failures) = (0, Vec::new());
    for (path, parameters) in &paths {
        let union = union(site, path, parameters).await?;
        if union.is_empty() {
            continue;
        }
        asked += 1;
        let same = wait::until(path, SETTLED, async || {
            let names = document(&clients, path, parameters).await?;
            ensure!(names.is_superset(&union), "it lacks {:?}", union.difference(&names));
            let mut surplus = names.difference(&union);
            ensure!(surplus.all(|name| served.contains(name)), "no server has {names:?}");
            Ok(())
        });
        if let Err(error) = same.await {
            failures.push(format!("{path}{parameters}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{} documents: {}", failures.len(), failures.join("\n"));
    Ok(json!({ "documents": asked, "encodings": ENCODINGS.len(), "requests": ROUNDS }))
}

/// Asks for a document in each encoding by each client, which has a connection of its own. Returns
/// the names in it.
async fn document(clients: &[Client], path: &str, parameters: &str) -> Result<BTreeSet<String>> {
    let first = clients.first().context("no client")?;
    let json = ask(first, path, parameters, ENCODINGS[0]).await?.body;
    let value: Value = serde_json::from_slice(&json)?;
    for encoding in ENCODINGS {
        let expected = encode(&json, encoding.0).context("it cannot be encoded")?;
        if encoding.0 == DocumentEncoding::Yaml {
            ensure!(serde_saphyr::from_slice::<Value>(&expected)? == value, "the YAML differs");
        }
        for (round, client) in clients.iter().enumerate() {
            let answer = ask(client, path, parameters, encoding).await?;
            ensure!(answer.body == expected, "other bytes as {:?} in round {round}", encoding.0);
            let content_type = format!("application/{}{parameters}", encoding.1);
            ensure!(answer.header("content-type") == Some(&content_type), "{:?}", answer.headers);
        }
    }
    named(&value)
}

/// Returns all names in the servers' own JSON; none if no server serves what it lists.
async fn union(site: &Site, path: &str, parameters: &str) -> Result<BTreeSet<String>> {
    let mut union = BTreeSet::new();
    for server in 0..site.plane.servers().len() {
        let client = site.direct(server, Http::Two)?;
        let parameters = if parameters == V2BETA1 { V2 } else { parameters };
        let answer = send(&client, path, parameters, ENCODINGS[0]).await?;
        if answer.status != StatusCode::NOT_FOUND {
            union.extend(named(&answer.ok()?.json()?)?);
        }
    }
    Ok(union)
}

/// Returns the paths of all documents that a server lists, with the parameters of their media
/// types.
async fn documents(client: &Client) -> Result<BTreeSet<(String, &'static str)>> {
    let mut documents: BTreeSet<_> =
        ROOTS.iter().map(|(path, parameters)| ((*path).to_owned(), *parameters)).collect();
    documents.insert(("/api/v1".to_owned(), PLAIN));
    let groups = ask(client, "/apis", PLAIN, ENCODINGS[0]).await?.json()?;
    for group in array(&groups, "groups") {
        for name in named(&json!({ "kind": "APIGroup", "versions": group.get("versions") }))? {
            let group = name.split_once('/').map_or(&*name, |(group, _)| group);
            documents.insert((format!("/apis/{group}"), PLAIN));
            documents.insert((format!("/apis/{name}"), PLAIN));
        }
    }
    Ok(documents)
}

async fn ask(
    client: &Client,
    path: &str,
    parameters: &str,
    encoding: (DocumentEncoding, &str, &str),
) -> Result<Answer> {
    send(client, path, parameters, encoding).await?.ok()
}

async fn send(
    client: &Client,
    path: &str,
    parameters: &str,
    (_, subtype, user_agent): (DocumentEncoding, &str, &str),
) -> Result<Answer> {
    let request = client.request(Method::GET, path).header("user-agent", user_agent);
    client.send(request.header("accept", format!("application/{subtype}{parameters}"))).await
}
