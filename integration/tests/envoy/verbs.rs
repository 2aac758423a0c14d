//! A type that both servers serve, with verbs that only one of them has: the
//! requests with those verbs go there, whatever form they have.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use discovery_map::DiscoveryMap;
use fake_apiserver::Version;
use fake_apiserver::replay::{PEER_HEADER, Rules};
use harness::fleet::Fleet;
use harness::stack::Stack;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

const SCALE: &str = "/apis/apps/v1/namespaces/default/deployments/web/scale";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROUNDS: usize = 20;

/// The verbs that `cp-1` lacks. It serves these types otherwise.
const DROPPED: [(&str, &str, &str); 6] = [
    ("apps", "deployments/scale", "patch"),
    ("", "configmaps", "watch"),
    ("", "configmaps", "update"),
    ("", "configmaps", "delete"),
    ("", "configmaps", "deletecollection"),
    ("", "configmaps", "create"),
];

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_36, Version::V1_36]).await?;
    for (group, resource, verb) in DROPPED {
        fleet.peers.first().context("no peer")?.drop_verb(group, "v1", resource, verb)?;
    }
    let stack = fleet.stack().await?;
    stack.wait_for_map("differing verbs", differs).await?;
    let client = fleet.client(&stack.url(), Http::One)?;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web"}});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    client.post(path, &deployment).await?.ok()?;
    Ok((fleet, stack))
}

fn differs(map: &DiscoveryMap) -> bool {
    let found = map.resource(b"apps", b"v1", b"deployments", Some(b"scale"));
    found.is_some_and(|found| !found.verbs.is_empty())
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn send(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
    let mut request = client.request(method.clone(), path);
    if let Some(body) = body {
        let form = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        request = request.header("content-type", form).body(body.to_string());
    }
    client.send(request).await
}

/// Requests with a verb that `cp-1` lacks, in every form that a client can give them.
async fn requests(client: &Client, round: usize) -> Result<Vec<Answer>> {
    let named = format!("{CONFIG_MAPS}/c{round}");
    let watch = |query: &str| format!("{CONFIG_MAPS}?{query}&timeoutSeconds=0&resourceVersion=1");
    let body = config_map(&format!("c{round}"));
    let mut answers = Vec::new();
    for (method, path, body) in [
        (Method::PATCH, SCALE, Some(&json!({"spec": {"replicas": round}}))),
        (Method::POST, CONFIG_MAPS, Some(&body)),
        (Method::PUT, &*named, Some(&body)),
        (Method::DELETE, &*named, None),
        (Method::DELETE, CONFIG_MAPS, None),
    ] {
        let answer = send(client, method.clone(), path, body).await?;
        ensure!(answer.status.is_success(), "{method} {path}: {answer:?}");
        answers.push(answer);
    }
    for path in [watch("watch=true"), watch("w%61tch=1"), watch("watch")] {
        answers.push(client.get(&path).await?.ok()?);
    }
    Ok(answers)
}

fn peers(answers: &[Answer]) -> BTreeSet<&str> {
    answers.iter().filter_map(|answer| answer.header(PEER_HEADER)).collect()
}

#[tokio::test]
async fn requests_with_a_verb_of_one_server_always_reach_it() -> Result<()> {
    let (fleet, stack) = start().await?;
    let refused = fleet.client(&fleet.peers.first().context("no peer")?.url(), Http::One)?;
    let answer = send(&refused, Method::POST, CONFIG_MAPS, Some(&config_map("x"))).await?;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);

    for http in [Http::One, Http::Two] {
        let client = fleet.client(&stack.url(), http)?;
        for round in 0..ROUNDS {
            assert_eq!(peers(&requests(&client, round).await?), ["cp-2"].into());
        }
        let mut spread = Vec::new();
        for _ in 0..ROUNDS {
            spread.push(client.get(SCALE).await?.ok()?);
            spread.push(client.get(CONFIG_MAPS).await?.ok()?);
            spread.push(client.get(&format!("{CONFIG_MAPS}?watch=false")).await?.ok()?);
        }
        assert_eq!(peers(&spread), ["cp-1", "cp-2"].into());
    }
    Ok(())
}

#[tokio::test]
async fn the_verbs_of_a_server_with_older_discovery_count_as_well() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_35]).await?;
    let peer = fleet.peers.first().context("no peer")?;
    peer.set_rules(Rules { older_forms_only: true, ..Rules::default() });
    peer.drop_verb("", "v1", "configmaps", "create")?;
    let stack = fleet.stack().await?;
    let differs = |map: &DiscoveryMap| {
        let found = map.resource(b"", b"v1", b"configmaps", None);
        found.is_some_and(|found| found.verbs.len() == 1)
    };
    stack.wait_for_map("differing verbs", differs).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for round in 0..ROUNDS {
        let body = config_map(&format!("c{round}"));
        assert_eq!(client.post(CONFIG_MAPS, &body).await?.ok()?.header(PEER_HEADER), Some("cp-2"));
    }
    Ok(())
}
