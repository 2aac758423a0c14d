//! Every verb, on any number of servers, with any error of the map.

use super::*;

/// Requests on each number of servers: 1,000 and more, over all errors.
const OBJECTS: usize = 32;

/// The sizes of bodies, in bytes.
const SIZES: [usize; 4] = [10, 4 << 10, 60 << 10, 256 << 10];

/// Sends every verb for one object. `knows` must answer each of them.
async fn all_verbs(client: &Client, knows: &str, name: &str, size: usize) -> Result<usize> {
    let object = |value: &str| {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" },
            "data": { "value": value.repeat(size) },
        })
    };
    let one = format!("{CONFIG_MAPS}/{name}");
    let write = |method, path: &str, content_type, value| {
        let request = client.request(method, path).header(CONTENT_TYPE, content_type);
        request.body(object(value).to_string())
    };
    let (json, merge) = ("application/json", "application/merge-patch+json");
    let requests = [
        write(Method::POST, CONFIG_MAPS, json, "a"),
        client.request(Method::GET, &one),
        client.request(Method::HEAD, &one),
        write(Method::PUT, &one, json, "b"),
        write(Method::PATCH, &one, merge, "c"),
        client.request(Method::GET, &format!("{CONFIG_MAPS}?limit=1")),
        client.request(Method::DELETE, &one),
        client.request(Method::GET, &one),
    ];
    let count = requests.len();
    for (step, request) in requests.into_iter().enumerate() {
        let answer = client.send(request).await?;
        ensure!(server(&answer) == knows, "step {step} of {name} ({size}): {answer:?}");
        // What was deleted is gone.
        let is_expected = answer.status.is_success() == (step + 1 < count);
        ensure!(is_expected, "step {step} of {name} ({size}): {answer:?}");
    }
    Ok(count)
}

async fn answered_by_the_one_that_knows(servers: usize) -> Result<()> {
    let mut scene = start(servers).await?;
    let right = scene.map.groups.clone();
    let knows = scene.fleet.peers[servers - 1].name().to_owned();
    let clients = [scene.client(Http::One)?, scene.client(Http::Two)?];
    let mut sent = 0;
    for error in ERRORS {
        scene.map.groups.clone_from(&right);
        push(&mut scene, error).await?;
        for (number, size) in (0..OBJECTS).zip(SIZES.iter().cycle()) {
            let name = format!("{error:?}-{number}").to_lowercase();
            let client = &clients[number % 2];
            let verbs = all_verbs(client, &knows, &name, *size).await;
            sent += verbs.with_context(|| format!("{error:?} on {servers} servers"))?;
        }
    }
    ensure!(sent >= 1_000, "{sent}");
    let replaced = "mixed_version_proxy_not_found_replaced_total";
    assert_eq!(scene.stack.envoy.metric(replaced, &[]).await?, 0.0);
    scene.is_sound().await
}

#[tokio::test]
async fn of_2_servers_the_one_that_knows_the_type_answers_every_verb() -> Result<()> {
    answered_by_the_one_that_knows(2).await
}

#[tokio::test]
async fn of_3_servers_the_one_that_knows_the_type_answers_every_verb() -> Result<()> {
    answered_by_the_one_that_knows(3).await
}

#[tokio::test]
async fn of_5_servers_the_one_that_knows_the_type_answers_every_verb() -> Result<()> {
    answered_by_the_one_that_knows(5).await
}

#[tokio::test]
async fn a_client_with_a_certificate_is_answered_by_the_one_that_knows() -> Result<()> {
    let mut scene = start(3).await?;
    let right = scene.map.groups.clone();
    let client = Client::new(&ClientOptions {
        url: scene.stack.url(),
        ca_pem: scene.fleet.pki().ca_pem(),
        token: None,
        certificate: Some(scene.fleet.pki().client("jane", "jane", &["people"])?),
        http: Http::Two,
    })?;
    for error in ERRORS {
        scene.map.groups.clone_from(&right);
        push(&mut scene, error).await?;
        all_verbs(&client, "cp-3", &format!("{error:?}").to_lowercase(), 4 << 10).await?;
        let answer = client.get(UNKNOWN).await?;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let twin = "cluster.kube-apiserver__rotation__front-proxy.upstream_rq_total";
    ensure!(scene.stack.envoy.stat(twin).await?.unwrap_or_default() > 0);
    let plain = "cluster.kube-apiserver__rotation.upstream_rq_total";
    assert_eq!(scene.stack.envoy.stat(plain).await?.unwrap_or_default(), 0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_large_body_is_sent_again_or_makes_a_503() -> Result<()> {
    let mut scene = start(2).await?;
    push(&mut scene, Error::Late).await?;
    let client = scene.client(Http::Two)?;
    for number in 0..6 {
        let object = serde_json::json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": format!("large-{number}"), "namespace": "default" },
            "data": { "value": "x".repeat(1_500_000) },
        });
        let answer = client.post(CONFIG_MAPS, &object).await?;
        if answer.status != StatusCode::CREATED {
            is_unavailable(&answer)?;
        }
    }
    scene.is_sound().await
}
