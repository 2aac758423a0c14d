//! Requests that are never sent to a second server.

use super::*;

const STATUS: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#;

const PROXIED: [&str; 4] = [
    "/api/v1/namespaces/n/pods/p:8000/proxy/x",
    "/api/v1/namespaces/n/services/s/proxy/x",
    "/api/v1/nodes/n/proxy/x",
    "/api/v1/nodes/n/proxy",
];

#[tokio::test]
async fn a_request_to_a_backend_is_sent_once() -> Result<()> {
    let mut scene = start(3).await?;
    for error in [None, Some(Error::Empty)] {
        if let Some(error) = error {
            push(&mut scene, error).await?;
        }
        for (content_type, body) in
            [("text/plain; charset=utf-8", "404 page not found\n"), ("application/json", STATUS)]
        {
            let canned = canned(StatusCode::NOT_FOUND, content_type, body)?;
            for path in PROXIED {
                scene.all_answer_with(path, &canned);
                for (http, method) in [(Http::One, Method::GET), (Http::Two, Method::POST)] {
                    let client = scene.client(http)?;
                    let asked = counted(&scene, async || {
                        let answer = client.send(client.request(method, path)).await?;
                        ensure!(answer.status == StatusCode::NOT_FOUND, "{path} {answer:?}");
                        ensure!(answer.text() == body, "{path} {answer:?}");
                        Ok(())
                    });
                    assert_eq!(asked.await?.iter().sum::<u64>(), 1, "{path}");
                }
            }
        }
    }
    scene.is_sound().await
}

/// kube-apiserver decodes the path before it looks for `proxy` in it.
const ENCODED: [&str; 4] = [
    "/api/v1/namespaces/n/services/s/%70roxy/x",
    "/api/v1/namespaces/n/services/s/%70%72%6F%78%79/x",
    "/api/v1/namespaces/n/services/s%2Fproxy/x",
    "/api/v1/namespaces/n/services/s%2fprox%79",
];

/// The servers stop while they answer a request. Returns how many of them got it.
async fn servers_asked_until_a_reset(path: &str) -> Result<usize> {
    let mut scene = start(2).await?;
    let hang = Canned { delay: Duration::from_secs(600), ..Canned::default() };
    scene.all_answer_with(path, &hang);
    let client = scene.client(Http::Two)?;
    let asked = |scene: &PushedStack, before: &[u64]| {
        let now = scene.fleet.peers.iter().map(|peer| peer.requests());
        now.zip(before).map(|(now, before)| now - before).collect::<Vec<_>>()
    };
    let before: Vec<_> = scene.fleet.peers.iter().map(|peer| peer.requests()).collect();
    let of_request = client.clone();
    let of_path = path.to_owned();
    let request = tokio::spawn(async move { of_request.get(&of_path).await });
    let first = wait::until("a server to be asked", DEADLINE, async || {
        asked(&scene, &before).iter().position(|count| *count > 0).context("none")
    })
    .await?;
    scene.fleet.peer(first)?.stop().await;
    let other = 1 - first;
    // Either the other server is asked, or the client has its answer.
    wait::until("what follows", DEADLINE, async || {
        let is_asked = asked(&scene, &before).get(other).is_some_and(|count| *count > 0);
        ensure!(is_asked || request.is_finished(), "nothing yet");
        anyhow::Ok(())
    })
    .await?;
    request.abort();
    Ok(asked(&scene, &before).iter().filter(|count| **count > 0).count())
}

#[tokio::test]
async fn after_a_reset_only_what_reads_from_a_server_itself_is_sent_again() -> Result<()> {
    let reads = ["/api/v1/nodes", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"];
    for path in reads {
        assert_eq!(servers_asked_until_a_reset(path).await?, 2, "{path}");
    }
    for path in [PROXIED.as_slice(), &ENCODED].concat() {
        assert_eq!(servers_asked_until_a_reset(path).await?, 1, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn with_a_map_without_a_rotation_no_other_server_is_asked() -> Result<()> {
    let mut scene = start(2).await?;
    scene.push(|map| map.rotation.clear()).await?;
    DiscoveryMap::try_from(scene.map.clone())?;
    let client = scene.client(Http::Two)?;
    let asked = counted(&scene, async || {
        let answer = client.get(UNKNOWN).await?;
        ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
        Ok(())
    });
    assert_eq!(asked.await?.iter().sum::<u64>(), 1);
    scene.is_sound().await
}

#[tokio::test]
async fn what_one_worker_shares_of_the_map_counts_for_all_workers() -> Result<()> {
    let mut scene = PushedStack::of(fleet(3).await?, |options| options.concurrency = 4).await?;
    push(&mut scene, Error::Late).await?;
    let rotation = scene.map.rotation.clone();
    let joins = format!("127.0.0.1:{}", scene.fleet.peers[2].port());
    let clients = (0..8).map(|_| scene.client(Http::One)).collect::<Result<Vec<_>>>()?;
    let mut denied = 0;
    for round in 0..10 {
        scene.push(|map| map.rotation.retain(|address| *address != joins)).await?;
        for client in &clients {
            let answer = client.get(CONFIG_MAPS).await?;
            denied += u32::from(answer.status == StatusCode::NOT_FOUND);
        }
        // From now on, the others' denials prove nothing.
        scene.push(|map| map.rotation.clone_from(&rotation)).await?;
        for client in &clients {
            let answer = client.get(CONFIG_MAPS).await?;
            ensure!(answer.status == StatusCode::OK, "round {round}: {answer:?}");
        }
    }
    ensure!(denied > 0, "the evidence of two servers was never used");
    scene.is_sound().await
}
