//! A doubtful 404: after a server that does not know the type, Envoy asks the
//! others. The test makes the map: late, wrong, or empty.

#![expect(clippy::indexing_slicing, reason = "a missing server fails the test, as it should")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::{DiscoveryMap, MapDocument};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, PEER_HEADER};
use harness::fleet::Fleet;
use harness::pushed::PushedStack;
use harness::wait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use wire::client::{Answer, Client, ClientOptions, Http};

mod limits;
mod marks;
mod running;
mod trap;
mod verbs;

const DEADLINE: Duration = Duration::from_secs(30);

const UNKNOWN: &str = "/apis/nosuch.io/v1/foos";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What a map can have wrong about the type that one server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Error {
    /// It does not know the type yet.
    Late,
    /// It lists the type for every server.
    Common,
    /// It lists the type for another server.
    OtherSet,
    /// It lists the type for all other servers.
    Others,
    /// It knows no type.
    Empty,
}

const ERRORS: [Error; 5] =
    [Error::Late, Error::Common, Error::OtherSet, Error::Others, Error::Empty];

/// Starts this many servers: only the last one knows ConfigMaps, and it does not know
/// PodTemplates; only the first one knows Secrets.
async fn fleet(servers: usize) -> Result<Fleet> {
    let fleet = Fleet::start(&vec![Version::V1_36; servers]).await?;
    let (first, others) = fleet.peers.split_first().context("no server")?;
    let (last, before) = fleet.peers.split_last().context("no server")?;
    for peer in before {
        peer.drop_resource("", "v1", "configmaps")?;
    }
    for peer in others {
        peer.drop_resource("", "v1", "secrets")?;
    }
    last.drop_resource("", "v1", "podtemplates")?;
    ensure!(first.name() != last.name());
    Ok(fleet)
}

/// Starts Envoy in front of these.
async fn start(servers: usize) -> Result<PushedStack> {
    PushedStack::of(fleet(servers).await?, |_| {}).await
}

/// Makes the map err about ConfigMaps.
fn err(map: &mut MapDocument, error: Error) -> Result<()> {
    if error == Error::Empty {
        map.groups.clear();
        map.documents.clear();
        map.verbs = Default::default();
        return Ok(());
    }
    let core = map.groups.get_mut("").and_then(|core| core.0.get_mut("v1")).context("no v1")?;
    let (mut of_first, mut of_others) = (None, None);
    for (set, resources) in &mut core.0 {
        let has = |resource| resources.namespaced.iter().any(|name| name == resource);
        of_first = of_first.or(has("secrets").then_some(*set));
        of_others = of_others.or(has("podtemplates").then_some(*set));
        resources.namespaced.retain(|name| name != "configmaps");
    }
    let set = match error {
        Error::Late | Error::Empty => return Ok(()),
        Error::Common => 0,
        Error::OtherSet => of_first.context("no secrets")?,
        Error::Others => of_others.context("no podtemplates")?,
    };
    let wrong = core.0.get_mut(&set).context("no such set")?;
    wrong.namespaced.push("configmaps".to_owned());
    Ok(())
}

/// Pushes the map with this error.
async fn push(scene: &mut PushedStack, error: Error) -> Result<()> {
    let mut map = scene.map.clone();
    err(&mut map, error)?;
    scene.push(|pushed| *pushed = map).await
}

fn server(answer: &Answer) -> &str {
    answer.header(PEER_HEADER).unwrap_or("no server")
}

fn is_unavailable(answer: &Answer) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    Ok(())
}

/// Returns how many requests each server got during `act`.
async fn counted(scene: &PushedStack, act: impl AsyncFnOnce() -> Result<()>) -> Result<Vec<u64>> {
    let requests = || scene.fleet.peers.iter().map(|peer| peer.requests()).collect::<Vec<_>>();
    let before = requests();
    act().await?;
    Ok(requests().iter().zip(before).map(|(after, before)| after - before).collect())
}

/// Returns what a server says to a request that it answers by itself.
fn canned(status: StatusCode, content_type: &str, body: &str) -> Result<Canned> {
    let headers = [(CONTENT_TYPE, content_type.parse()?)].into_iter().collect();
    Ok(Canned { status, headers, body: body.to_owned().into(), ..Canned::default() })
}

#[tokio::test]
async fn each_server_gets_a_request_for_an_unknown_type_once() -> Result<()> {
    for servers in [2, 3, 5] {
        let scene = start(servers).await?;
        let direct = scene.fleet.client(&scene.fleet.peers[0].url(), Http::One)?;
        for (path, accept) in [
            (UNKNOWN, "application/json"),
            ("/apis/nosuch.io", "application/json"),
            ("/apis/apps/v9/deployments", "application/vnd.kubernetes.protobuf"),
            ("/api/v1/nosuch", "application/yaml"),
            ("/api/v1/pods/p", "application/json"),
            ("/openapi/v3/apis/nosuch.io/v1", "application/json"),
        ] {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                for http in [Http::One, Http::Two] {
                    let client = scene.client(http)?;
                    let ask = async |client: &Client| {
                        let request = client.request(method.clone(), path);
                        client.send(request.header("accept", accept)).await
                    };
                    let expected = ask(&direct).await?;
                    let asked = counted(&scene, async || {
                        let found = ask(&client).await?;
                        ensure!(found.status == StatusCode::NOT_FOUND, "{method} {path} {found:?}");
                        ensure!(found.body == expected.body, "{method} {path} {found:?}");
                        for name in ["content-type", "content-length", "cache-control"] {
                            ensure!(found.header(name) == expected.header(name), "{path} {name}");
                        }
                        Ok(())
                    });
                    assert_eq!(asked.await?, vec![1; servers], "{method} {path}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_server_gets_a_request_for_an_object_that_does_not_exist() -> Result<()> {
    let scene = start(3).await?;
    let client = scene.client(Http::Two)?;
    let asked = counted(&scene, async || {
        for _ in 0..6 {
            let answer = client.get("/api/v1/namespaces/default/pods/absent").await?;
            ensure!(answer.json()?.pointer("/details/name").is_some(), "{answer:?}");
        }
        Ok(())
    });
    assert_eq!(asked.await?, [2, 2, 2]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_gone_but_in_the_map_makes_a_503_and_never_a_404() -> Result<()> {
    let mut scene = start(3).await?;
    push(&mut scene, Error::Late).await?;
    scene.fleet.peer(2)?.stop().await;
    let client = scene.client(Http::Two)?;
    // Each is asked, and one again: then there is nobody else.
    for path in [UNKNOWN, CONFIG_MAPS, "/apis/nosuch.io"] {
        assert_eq!(unavailable(&scene, &client, path).await?, 3, "{path}");
    }
    // The next map knows that it is gone, and then that it did not just leave.
    let gone = format!("127.0.0.1:{}", scene.fleet.peers[2].port());
    scene
        .push(|map| {
            map.rotation.retain(|address| *address != gone);
            map.just_left = true;
        })
        .await?;
    is_unavailable(&client.get(UNKNOWN).await?)?;
    // No companion says when that is over.
    wait::until("the 404 to be believed", DEADLINE, async || {
        let answer = client.get(UNKNOWN).await?;
        ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
        anyhow::Ok(())
    })
    .await?;
    scene.push(|map| map.just_left = false).await?;
    assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND);
    scene.push(|map| map.complete = false).await?;
    is_unavailable(&client.get(UNKNOWN).await?)?;
    scene.is_sound().await
}

/// Gets 503 for this path, and returns how many requests that took of all servers.
async fn unavailable(scene: &PushedStack, client: &Client, path: &str) -> Result<u64> {
    const REQUESTS: u64 = 8;
    let asked = counted(scene, async || {
        for _ in 0..REQUESTS {
            is_unavailable(&client.get(path).await?)?;
        }
        Ok(())
    });
    let asked: u64 = asked.await?.iter().sum();
    ensure!(asked.is_multiple_of(REQUESTS), "{path}: {asked} for {REQUESTS}");
    Ok(asked / REQUESTS)
}

#[tokio::test]
async fn no_request_fails_if_a_push_comes_while_servers_are_asked() -> Result<()> {
    let mut scene = start(3).await?;
    push(&mut scene, Error::Late).await?;
    let client = scene.client(Http::Two)?;
    let requests = tokio::spawn(async move {
        for number in 0..400 {
            let path = if number % 2 == 0 { UNKNOWN } else { CONFIG_MAPS };
            let answer = client.get(path).await?;
            let expected = if number % 2 == 0 { StatusCode::NOT_FOUND } else { StatusCode::OK };
            ensure!(answer.status == expected, "{number}: {answer:?}");
        }
        anyhow::Ok(())
    });
    while !requests.is_finished() {
        scene.push(|_| ()).await?;
    }
    requests.await??;
    scene.is_sound().await
}
