//! Where requests go, and which 404s are replaced: Envoy with the filter in
//! front of a fake 1.35 (`cp-1`) and a fake 1.36 (`cp-2`).

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::time::Duration;

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, PEER_HEADER};
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TYPE_LEVEL: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}
"#;

const DEADLINE: Duration = Duration::from_secs(30);

/// As often as it takes for round robin to have met every peer.
const ROUNDS: usize = 8;

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    Ok((fleet, stack))
}

fn clients(fleet: &Fleet, stack: &Stack) -> Result<[Client; 2]> {
    Ok([fleet.client(&stack.url(), Http::One)?, fleet.client(&stack.url(), Http::Two)?])
}

async fn get_as(client: &Client, path: &str, accept: &str) -> Result<Answer> {
    client.send(client.request(Method::GET, path).header("accept", accept)).await
}

fn is_unavailable(answer: &Answer) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    ensure!(answer.header("content-type") == Some("application/json"), "{answer:?}");
    let status = answer.json()?;
    ensure!(status["kind"] == "Status" && status["reason"] == "ServiceUnavailable", "{status}");
    ensure!(status["details"]["retryAfterSeconds"] == 1, "{status}");
    Ok(())
}

fn peer(answer: &Answer) -> &str {
    answer.header(PEER_HEADER).unwrap_or("no server")
}

#[tokio::test]
async fn requests_for_a_type_of_one_server_always_reach_it() -> Result<()> {
    let (fleet, stack) = start().await?;
    for client in clients(&fleet, &stack)? {
        for _ in 0..ROUNDS {
            let answer = client.get(POLICIES).await?.ok()?;
            assert_eq!(peer(&answer), "cp-2");
        }
    }
    let client = fleet.client(&stack.url(), Http::Two)?;
    let object = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": "p" },
    });
    assert_eq!(client.post(POLICIES, &object).await?.status, StatusCode::CREATED);
    client.get(&format!("{POLICIES}/p")).await?.ok()?;
    client.delete(&format!("{POLICIES}/p")).await?.ok()?;

    // A GET of a deleted object gets a 404 from the only server of the type.
    let gone = client.get(&format!("{POLICIES}/p")).await?;
    assert_eq!((gone.status, peer(&gone)), (StatusCode::NOT_FOUND, "cp-2"));
    assert_eq!(gone.json()?["details"]["name"], "p");
    stack.decisions("skewed", 20.0).await?;
    Ok(())
}

#[tokio::test]
async fn requests_for_a_type_of_every_server_are_spread_over_all() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        let answer = client.get("/api/v1/namespaces/default/configmaps").await?.ok()?;
        seen.insert(peer(&answer).to_owned());
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    stack.decisions("common", 8.0).await?;
    Ok(())
}

/// The path, and whether the peers say it by a Status.
const TRULY_ABSENT: [&str; 9] = [
    "/api/v1/nosuch",
    "/apis/apps/v9/deployments",
    "/apis/apps/v9",
    "/apis/nosuch.io/v1/foos",
    "/apis/nosuch.io",
    "/api/v1/namespaces/default/pods/p/nosuch",
    "/nosuch",
    "/api/v1/namespaces/default/configmaps/absent",
    "/api/v1/pods/without-namespace",
];

#[tokio::test]
async fn a_true_404_passes_byte_for_byte() -> Result<()> {
    let (fleet, stack) = start().await?;
    let through = fleet.client(&stack.url(), Http::One)?;
    let direct = fleet.client(&fleet.peers[0].url(), Http::One)?;
    for path in TRULY_ABSENT {
        for accept in ["application/json", PROTOBUF, "application/yaml"] {
            for method in [Method::GET, Method::HEAD] {
                let ask = async |client: &Client| {
                    let request = client.request(method.clone(), path).header("accept", accept);
                    client.send(request).await
                };
                let expected = ask(&direct).await?;
                for _ in 0..2 {
                    let found = ask(&through).await?;
                    let case = format!("{method} {path} {accept}");
                    assert_eq!(
                        (found.status.as_u16(), &found.body),
                        (404, &expected.body),
                        "{case}"
                    );
                    for name in ["content-type", "content-length", "cache-control"] {
                        assert_eq!(found.header(name), expected.header(name), "{case} {name}");
                    }
                }
            }
        }
    }
    assert_eq!(stack.envoy.metric("mixed_version_proxy_not_found_replaced_total", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_type_whose_only_server_is_gone_is_unavailable_in_the_clients_encoding() -> Result<()> {
    let (mut fleet, stack) = start().await?;
    fleet.peer(1)?.stop().await;
    stack
        .wait_for_map("cp-2 to be unreachable", |map| {
            let policies = b"mutatingadmissionpolicies";
            let found = map.resource(b"admissionregistration.k8s.io", b"v1", policies, None);
            found.is_some_and(|found| found.destination == discovery_map::Destination::Unavailable)
        })
        .await?;
    for client in clients(&fleet, &stack)? {
        is_unavailable(&client.get(POLICIES).await?)?;
        is_unavailable(&client.post(POLICIES, &json!({})).await?)?;
        let protobuf = get_as(&client, POLICIES, &format!("{PROTOBUF},application/json")).await?;
        assert_eq!(protobuf.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(protobuf.header("content-type"), Some(PROTOBUF));
        assert_eq!(protobuf.header("retry-after"), Some("1"));
        assert!(protobuf.body.starts_with(b"k8s\0"));
        client.get("/api/v1/namespaces/default/configmaps").await?.ok()?;
    }
    stack.decisions("unavailable", 6.0).await?;

    fleet.peer(1)?.start_again().await?;
    stack.wait_for_map("all to serve", |map| map.skewed_targets() > 0 && serving(map) == 2).await?;
    fleet.client(&stack.url(), Http::Two)?.get(POLICIES).await?.ok()?;
    Ok(())
}

fn serving(map: &discovery_map::DiscoveryMap) -> usize {
    map.peers.iter().filter(|peer| peer.state == discovery_map::PeerState::Serving).count()
}

fn canned(content_type: &str, body: &[u8]) -> Result<Canned> {
    let headers = [(reqwest::header::CONTENT_TYPE, content_type.parse()?)].into_iter().collect();
    Ok(Canned { status: StatusCode::NOT_FOUND, headers, body: body.to_vec(), ..Canned::default() })
}

#[tokio::test]
async fn a_404_that_contradicts_the_map_passes_only_if_every_server_says_it() -> Result<()> {
    let (fleet, stack) = start().await?;
    let denials =
        [("text/plain; charset=utf-8", "404 page not found\n"), ("application/json", TYPE_LEVEL)];
    for (number, (content_type, body)) in denials.into_iter().enumerate() {
        let (some, all) = (format!("/api/v1/nodes/some-{number}"), "/api/v1/nodes/all");
        fleet.peers[0].answer_with(&some, canned(content_type, body.as_bytes())?);
        for peer in &fleet.peers {
            peer.answer_with(all, canned(content_type, body.as_bytes())?);
        }
        for client in clients(&fleet, &stack)? {
            for _ in 0..ROUNDS {
                let answer = client.get(&some).await?;
                assert_eq!((peer(&answer), answer.is_type_level_404()), ("cp-2", false));
                let answer = client.get(all).await?;
                assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, body));
                let head = client.send(client.request(Method::HEAD, all)).await?;
                assert_eq!(head.status, StatusCode::NOT_FOUND);
            }
        }
    }
    let replaced = stack.envoy.metric("mixed_version_proxy_not_found_replaced_total", &[]).await?;
    assert_eq!(replaced, 0.0);
    Ok(())
}

#[tokio::test]
async fn an_object_level_404_passes_even_for_a_skewed_type() -> Result<()> {
    let (fleet, stack) = start().await?;
    let path = "/api/v1/namespaces/default/configmaps/c";
    let long = "x".repeat(100_000);
    let as_long_as_a_denial = format!("{:<1$}", r#"{"details":{"name":"c"}}"#, TYPE_LEVEL.len());
    let bodies = ["", "404 page not found", "<h1>not here</h1>", &long, &as_long_as_a_denial];
    for body in bodies {
        for content_type in ["text/plain", "application/json", PROTOBUF, "text/html"] {
            for peer in &fleet.peers {
                peer.answer_with(path, canned(content_type, body.as_bytes())?);
            }
            for client in clients(&fleet, &stack)? {
                let answer = client.get(path).await?;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{content_type} {body:.40}");
                assert_eq!(answer.body, body.as_bytes());
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_404_of_a_proxied_backend_passes() -> Result<()> {
    let (fleet, stack) = start().await?;
    let path = "/api/v1/namespaces/default/services/s/proxy/x";
    for peer in &fleet.peers {
        peer.answer_with(path, canned("text/plain", b"404 page not found\n")?);
    }
    let answer = fleet.client(&stack.url(), Http::Two)?.get(path).await?;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::NOT_FOUND, "404 page not found\n")
    );
    Ok(())
}

#[tokio::test]
async fn no_type_is_denied_while_the_map_is_incomplete() -> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    fleet.peer(1)?.stop().await;
    let stack = Stack::start(fleet.stack_options()?).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for path in [POLICIES, "/apis/nosuch.io/v1/foos", "/apis/nosuch.io", "/api/v1/nosuch/x"] {
        is_unavailable(&client.get(path).await?)?;
    }
    // A 404 for an object, or for a path outside the API, is still true.
    let absent = client.get("/api/v1/namespaces/default/configmaps/absent").await?;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/nosuch").await?.status, StatusCode::NOT_FOUND);
    assert_eq!(stack.decisions("undetermined", 3.0 + 1.0).await?, 3.0 + 1.0);
    assert_eq!(stack.envoy.metric("mixed_version_proxy_map_complete", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_choose_its_cluster() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        let request = client.request(Method::GET, "/api/v1/nodes");
        let request = request
            .header("x-mixed-version-proxy-cluster", "kube-apiserver_cp-2")
            .header("X-Mixed-Version-Proxy-Cluster", "nosuch");
        let answer = client.send(request).await?.ok()?;
        seen.insert(peer(&answer).to_owned());
    }
    assert_eq!(seen.len(), 2, "the header of a client had an effect: {seen:?}");
    Ok(())
}

#[tokio::test]
async fn envoy_exports_the_metrics_of_the_filter() -> Result<()> {
    let (_fleet, stack) = start().await?;
    // The companion may push another map between the two answers.
    wait::until("Envoy to have the last map", DEADLINE, async || {
        let map: Value = stack.map().await?;
        let live = stack.generation().await?;
        ensure!(map["generation"] == live, "{live}, not {}", map["generation"]);
        anyhow::Ok(())
    })
    .await?;
    let skewed = stack.envoy.metric("mixed_version_proxy_skewed_targets", &[]).await?;
    assert!(skewed >= 2.0, "{skewed}");
    assert_eq!(stack.envoy.metric("mixed_version_proxy_map_complete", &[]).await?, 1.0);
    let text = stack.envoy.prometheus().await?;
    for reason in
        ["not_an_api", "discovery", "common", "skewed", "unavailable", "unknown", "undetermined"]
    {
        let line = format!("mixed_version_proxy_requests_total{{decision=\"{reason}\"}}");
        assert!(text.contains(&line), "{line}");
    }
    // Nor does Envoy warn that its configuration uses unfinished features.
    assert_eq!(stack.envoy.stat("server.wip_protos").await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_watch_outlives_pushes_and_carries_every_event() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let configmaps = "/api/v1/namespaces/default/configmaps";
    let mut watch = client.stream(&format!("{configmaps}?watch=1")).await?;
    for round in 0..3 {
        let before = stack.generation().await?;
        let group = format!("round{round}.example.com");
        fleet.peers[0].add_crd(fake_apiserver::replay::Crd::new(&group, "Widget"))?;
        stack.wait_for_map("the new group", |map| map.group(group.as_bytes()).is_some()).await?;
        assert!(stack.generation().await? > before);

        let name = format!("c-{round}");
        let object =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        client.post(configmaps, &object).await?.ok()?;
        let mut events = Vec::new();
        while !String::from_utf8_lossy(&events).contains(&name) {
            match watch.chunk().await? {
                Some(chunk) => events.extend(chunk),
                None => anyhow::bail!("the watch ended"),
            }
        }
    }
    Ok(())
}
