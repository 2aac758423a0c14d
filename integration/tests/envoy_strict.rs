//! Strict 404: before Envoy passes a 404 for an unknown type, it asks the
//! companion. The tests are the companion here, so that they see the effect of
//! each answer.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use discovery_map::StrictNotFound;
use fake_apiserver::replay::Canned;
use futures_util::future::try_join_all;
use harness::pushed::PushedStack;
use harness::stack::StackOptions;
use harness::wait;
use reqwest::{Method, StatusCode};
use wire::client::{Answer, Client, Http};

#[path = "envoy_strict/fake.rs"]
mod fake;

use fake::{Fake, Says};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const UNKNOWN: &str = "/apis/nosuch.io/v1/foos";

/// All kinds of paths and forms whose 404 is type-level.
const UNKNOWN_PATHS: [&str; 7] = [
    // Pods are known, but not in that scope.
    "/api/v1/pods/p",
    UNKNOWN,
    "/apis/nosuch.io",
    "/apis/apps/v9",
    "/apis/apps/v9/deployments?limit=1",
    "/api/v1/nosuch",
    "/api/v1/namespaces/default/pods/p/nosuch",
];

/// Starts a stack whose map names the test's companion.
async fn start() -> Result<(PushedStack, Fake)> {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut StackOptions)) -> Result<(PushedStack, Fake)> {
    let mut scene = PushedStack::start(change).await?;
    let fake = Fake::start(scene.stack.companion.port()).await?;
    strict(&mut scene, 5_000, true).await?;
    Ok((scene, fake))
}

async fn strict(
    scene: &mut PushedStack,
    timeout_milliseconds: u32,
    passes_unanswered: bool,
) -> Result<()> {
    let cluster = "mixed-version-companion".to_owned();
    let strict = StrictNotFound { cluster, timeout_milliseconds, passes_unanswered };
    scene.push(|map| map.strict_not_found = Some(strict)).await
}

async fn verdicts(scene: &PushedStack, verdict: &str) -> Result<f64> {
    let label = format!("verdict=\"{verdict}\"");
    scene.stack.envoy.metric("mixed_version_proxy_absence_questions_total", &[&label]).await
}

fn is_unavailable(answer: &Answer) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    let status = answer.json()?;
    ensure!(status["kind"] == "Status" && status["reason"] == "ServiceUnavailable", "{status}");
    Ok(())
}

#[tokio::test]
async fn an_uncontradicted_404_passes_byte_for_byte() -> Result<()> {
    let (mut scene, fake) = start().await?;
    let through = scene.client(Http::One)?;
    let direct = scene.fleet.client(&scene.fleet.peers[0].url(), Http::One)?;
    for path in UNKNOWN_PATHS {
        for accept in ["application/json", PROTOBUF, "application/yaml"] {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let ask = async |client: &Client| {
                    let request = client.request(method.clone(), path).header("accept", accept);
                    client.send(request).await
                };
                let (expected, found) = (ask(&direct).await?, ask(&through).await?);
                let case = format!("{method} {path} {accept}");
                assert_eq!((found.status.as_u16(), &found.body), (404, &expected.body), "{case}");
                for name in ["content-type", "content-length", "cache-control"] {
                    assert_eq!(found.header(name), expected.header(name), "{case} {name}");
                }
                let bare = path.split('?').next().unwrap_or_default();
                assert_eq!(fake.paths(), [bare], "{case}");
            }
        }
    }
    for http in [Http::One, Http::Two] {
        let answer = scene.client(http)?.get(UNKNOWN).await?;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found\n"));
    }
    let asked = 3.0 * 3.0 * UNKNOWN_PATHS.len() as f64 + 2.0;
    assert_eq!(verdicts(&scene, "absent").await?, asked);
    scene.is_sound().await
}

#[tokio::test]
async fn a_contradicted_or_unclear_404_becomes_a_503() -> Result<()> {
    let (mut scene, fake) = start().await?;
    for (code, verdict) in [(409, "served"), (503, "unclear")] {
        fake.says(Says::Status(code));
        for http in [Http::One, Http::Two] {
            let client = scene.client(http)?;
            for path in UNKNOWN_PATHS {
                is_unavailable(&client.get(path).await?)?;
                let request = client.request(Method::GET, path).header("accept", PROTOBUF);
                let answer = client.send(request).await?;
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.header("content-type"), Some(PROTOBUF));
                assert!(answer.body.starts_with(b"k8s\0"));
                let head = client.send(client.request(Method::HEAD, path)).await?;
                assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE, "{head:?}");
            }
        }
        assert_eq!(verdicts(&scene, verdict).await?, 6.0 * UNKNOWN_PATHS.len() as f64);
    }
    scene.is_sound().await
}

#[tokio::test]
async fn the_configuration_decides_what_happens_without_an_answer() -> Result<()> {
    let (mut scene, fake) = start().await?;
    let client = scene.client(Http::Two)?;
    // None of these is an answer to the question.
    for code in [200, 302, 400, 404, 429, 500] {
        fake.says(Says::Status(code));
        strict(&mut scene, 5_000, true).await?;
        assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND, "{code}");
        strict(&mut scene, 5_000, false).await?;
        is_unavailable(&client.get(UNKNOWN).await?)?;
    }
    // Too late, though right.
    fake.says(Says::Late(409, Duration::from_secs(20)));
    for (passes, status) in
        [(true, StatusCode::NOT_FOUND), (false, StatusCode::SERVICE_UNAVAILABLE)]
    {
        strict(&mut scene, 300, passes).await?;
        let begun = Instant::now();
        assert_eq!(client.get(UNKNOWN).await?.status, status);
        let took = begun.elapsed();
        // Envoy counts from when it last looked at the clock.
        ensure!(took >= Duration::from_millis(250) && took < Duration::from_secs(10), "{took:?}");
    }
    assert_eq!(verdicts(&scene, "no_answer").await?, 14.0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_stopped_companion_adds_no_delay() -> Result<()> {
    let (mut scene, fake) = start().await?;
    // The port closes with the task, connections that are there with it.
    fake.stop();
    scene.stack.companion.kill_9();
    let client = scene.client(Http::Two)?;
    wait::until("the port to be closed", Duration::from_secs(10), async || {
        match tokio::net::TcpStream::connect(("127.0.0.1", scene.stack.companion.port())).await {
            Ok(_) => Err("open"),
            Err(_) => Ok(()),
        }
    })
    .await?;
    strict(&mut scene, 20_000, true).await?;
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND);
    }
    strict(&mut scene, 20_000, false).await?;
    for _ in 0..5 {
        is_unavailable(&client.get(UNKNOWN).await?)?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Nor does a cluster that Envoy does not know.
    scene
        .push(|map| {
            let strict = map.strict_not_found.as_mut();
            strict.unwrap().cluster = "nosuch".into();
        })
        .await?;
    is_unavailable(&client.get(UNKNOWN).await?)?;
    assert_eq!(verdicts(&scene, "no_answer").await?, 11.0);
    scene.is_sound().await
}

fn canned(status: StatusCode, content_type: &str, body: &str) -> Result<Canned> {
    let headers = [(reqwest::header::CONTENT_TYPE, content_type.parse()?)].into_iter().collect();
    Ok(Canned { status, headers, body: body.into(), ..Canned::default() })
}

#[tokio::test]
async fn only_404s_for_unknown_types_are_queried() -> Result<()> {
    let (mut scene, fake) = start().await?;
    fake.says(Says::Status(409));
    let client = scene.client(Http::Two)?;
    let object = "/api/v1/namespaces/default/configmaps/absent";
    assert_eq!(client.get(object).await?.json()?["details"]["name"], "absent");
    assert_eq!(client.get("/nosuch").await?.status, StatusCode::NOT_FOUND);
    let beyond = "/api/v1/namespaces/default/pods/p/log/beyond";
    assert_eq!(client.get(beyond).await?.status, StatusCode::NOT_FOUND);
    client.get("/api/v1/nodes").await?.ok()?;

    // Refusals of other kinds pass unchanged.
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#;
    for code in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED] {
        scene.all_answer_with(UNKNOWN, &canned(code, "application/json", status)?);
        let answer = client.get(UNKNOWN).await?;
        assert_eq!((answer.status, answer.text().as_str()), (code, status));
    }
    // A 404 that is not type-level: of an object, or of another backend.
    let long = "x".repeat(100_000);
    let others = [
        ("application/json", r#"{"kind":"Status","details":{"name":"f"},"code":404}"#),
        ("text/html", "404 page not found\n"),
        ("text/plain", &long),
    ];
    for (content_type, body) in others {
        scene.all_answer_with(UNKNOWN, &canned(StatusCode::NOT_FOUND, content_type, body)?);
        let answer = client.get(UNKNOWN).await?;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, body));
    }
    assert_eq!(fake.paths(), [""; 0]);

    // Without `strictNotFound` in the map, nothing is queried.
    for peer in &scene.fleet.peers {
        peer.answer_as_recorded();
    }
    scene.push(|map| map.strict_not_found = None).await?;
    assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(fake.paths(), [""; 0]);
    scene.is_sound().await
}

#[tokio::test]
async fn concurrent_requests_get_their_own_answers() -> Result<()> {
    let (mut scene, fake) = start().await?;
    fake.says(Says::ByName);
    let clients = [scene.client(Http::One)?, scene.client(Http::Two)?];
    let ask = async |number: usize| {
        let client = &clients[number % 2];
        let absent = number.is_multiple_of(3);
        let name = if absent { "absent" } else { "there" };
        let answer = client.get(&format!("{UNKNOWN}/{number}-{name}")).await?;
        if absent {
            ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
            ensure!(answer.text() == "404 page not found\n", "{answer:?}");
            return Ok(());
        }
        is_unavailable(&answer)
    };
    // In batches, because a peer refuses too many requests at once.
    for _ in 0..4 {
        try_join_all((0..150).map(ask)).await?;
    }
    assert_eq!(verdicts(&scene, "absent").await?, 200.0);
    assert_eq!(verdicts(&scene, "served").await?, 400.0);
    scene.is_sound().await
}

#[tokio::test]
async fn clients_that_leave_during_a_query_leave_nothing_behind() -> Result<()> {
    // One worker: every request meets the same VM.
    let (mut scene, fake) = start_with(|options| options.concurrency = 1).await?;
    for code in [204, 409] {
        fake.says(Says::Late(code, Duration::from_secs(1)));
        let mut left = Vec::new();
        for http in [Http::One, Http::Two] {
            let client = scene.client(http)?;
            for _ in 0..20 {
                let client = client.clone();
                left.push(tokio::spawn(async move { client.get(UNKNOWN).await }));
            }
        }
        let mut asked = 0;
        wait::until("all to be asked about", Duration::from_secs(10), async || {
            asked += fake.paths().len();
            ensure!(asked >= 40, "{asked}");
            anyhow::Ok(())
        })
        .await?;
        for client in left {
            client.abort();
        }
        // A later question is answered after all of theirs would have been.
        let answer = scene.client(Http::Two)?.get(UNKNOWN).await?;
        let expected =
            if code == 204 { StatusCode::NOT_FOUND } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(answer.status, expected);
        scene.is_sound().await?;
    }
    let active = scene.stack.envoy.stat("http.kubernetes.downstream_rq_active").await?;
    assert_eq!(active.unwrap_or_default(), 0);
    Ok(())
}

#[tokio::test]
async fn a_push_during_a_query_does_not_change_the_answer() -> Result<()> {
    let (mut scene, fake) = start().await?;
    fake.says(Says::Late(409, Duration::from_secs(2)));
    let client = scene.client(Http::Two)?;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get(UNKNOWN).await }
    });
    wait::until("the companion to be queried", Duration::from_secs(10), async || {
        ensure!(!fake.paths().is_empty(), "not yet");
        anyhow::Ok(())
    })
    .await?;
    scene.push(|map| map.strict_not_found = None).await?;
    is_unavailable(&waiting.await??)?;
    scene.is_sound().await
}
