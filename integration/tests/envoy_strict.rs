//! Strict 404: before Envoy lets a 404 for an unknown type pass, it asks the
//! companion. Here the companion is the test's own, so that each of its answers
//! can be seen to have its effect.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::extract::{Query, State};
use axum::http::StatusCode as Code;
use axum::routing::get;
use discovery_map::StrictNotFound;
use fake_apiserver::Version;
use fake_apiserver::replay::Canned;
use futures_util::future::try_join_all;
use harness::fleet::Fleet;
use harness::pushed::Pusher;
use harness::stack::{Stack, StackOptions};
use harness::wait;
use reqwest::{Method, StatusCode};
use tokio::task::JoinHandle;
use wire::client::{Answer, Client, Http};

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

/// What the test's companion does when it is asked.
#[derive(Clone, Copy, Debug)]
enum Says {
    Status(u16),
    /// This after a while.
    Late(u16, Duration),
    /// By what the path ends in: `absent`, or else served.
    ByName,
}

struct Asked {
    says: Mutex<Says>,
    paths: Mutex<Vec<String>>,
}

/// The test's own companion; dropping it closes its port.
struct Fake {
    asked: Arc<Asked>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    async fn start(port: u16) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let asked = Asked { says: Mutex::new(Says::Status(204)), paths: Mutex::new(Vec::new()) };
        let asked = Arc::new(asked);
        let router = axum::Router::new().route("/v1/absence", get(absence));
        let router = router.with_state(Arc::clone(&asked));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { asked, task })
    }

    fn says(&self, says: Says) {
        *lock(&self.asked.says) = says;
    }

    /// The paths that it was asked about since the last time.
    fn paths(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.asked.paths))
    }
}

async fn absence(
    State(asked): State<Arc<Asked>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Code {
    let path = query["path"].clone();
    let by_name = if path.ends_with("absent") { 204 } else { 409 };
    lock(&asked.paths).push(path);
    let says = *lock(&asked.says);
    let code = match says {
        Says::Status(code) => code,
        Says::Late(code, delay) => {
            tokio::time::sleep(delay).await;
            code
        }
        Says::ByName => by_name,
    };
    Code::from_u16(code).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Scene {
    fleet: Fleet,
    stack: Stack,
    pusher: Pusher,
    fake: Fake,
}

impl Scene {
    async fn start() -> Result<Self> {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut StackOptions)) -> Result<Self> {
        let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
        let mut options = fleet.stack_options()?;
        change(&mut options);
        let mut stack = Stack::start(options).await?;
        stack.wait_for_map("a complete map", discovery_map::DiscoveryMap::is_complete).await?;
        let pusher = Pusher::take_over(&mut stack)?;
        let fake = Fake::start(stack.companion.port()).await?;
        let mut scene = Self { fleet, stack, pusher, fake };
        scene.strict(5_000, true).await?;
        Ok(scene)
    }

    async fn strict(&mut self, timeout_milliseconds: u32, passes_unanswered: bool) -> Result<()> {
        let cluster = "mixed-version-companion".to_owned();
        let strict = StrictNotFound { cluster, timeout_milliseconds, passes_unanswered };
        self.pusher.push(&self.stack, |map| map.strict_not_found = Some(strict)).await
    }

    fn client(&self, http: Http) -> Result<Client> {
        self.fleet.client(&self.stack.url(), http)
    }

    async fn verdicts(&self, verdict: &str) -> Result<f64> {
        let label = format!("verdict=\"{verdict}\"");
        self.stack.envoy.metric("mixed_version_proxy_absence_questions_total", &[&label]).await
    }

    /// Whether the filter's VM is as it was begun.
    async fn is_sound(&mut self) -> Result<()> {
        for name in ["vm_reload", "vm_reload_failure", "vm_reload_success"] {
            let stat = format!("wasm.mixed-version-proxy.{name}");
            ensure!(self.stack.envoy.stat(&stat).await?.unwrap_or_default() == 0, "{name}");
        }
        let log = std::fs::read_to_string(self.stack.envoy.process().log())?;
        ensure!(!log.contains("panicked at"), "the filter panicked:\n{log}");
        Ok(())
    }
}

fn is_unavailable(answer: &Answer) -> Result<()> {
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
    let status = answer.json()?;
    ensure!(status["kind"] == "Status" && status["reason"] == "ServiceUnavailable", "{status}");
    Ok(())
}

#[tokio::test]
async fn a_404_that_nobody_contradicts_passes_byte_for_byte() -> Result<()> {
    let mut scene = Scene::start().await?;
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
                assert_eq!(scene.fake.paths(), [bare], "{case}");
            }
        }
    }
    for http in [Http::One, Http::Two] {
        let answer = scene.client(http)?.get(UNKNOWN).await?;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found\n"));
    }
    let asked = 3.0 * 3.0 * UNKNOWN_PATHS.len() as f64 + 2.0;
    assert_eq!(scene.verdicts("absent").await?, asked);
    scene.is_sound().await
}

#[tokio::test]
async fn a_404_that_is_contradicted_or_in_doubt_becomes_a_503() -> Result<()> {
    let mut scene = Scene::start().await?;
    for (code, verdict) in [(409, "served"), (503, "unclear")] {
        scene.fake.says(Says::Status(code));
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
        assert_eq!(scene.verdicts(verdict).await?, 6.0 * UNKNOWN_PATHS.len() as f64);
    }
    scene.is_sound().await
}

#[tokio::test]
async fn what_no_answer_means_is_as_configured() -> Result<()> {
    let mut scene = Scene::start().await?;
    let client = scene.client(Http::Two)?;
    // None of these is an answer to the question.
    for code in [200, 302, 400, 404, 429, 500] {
        scene.fake.says(Says::Status(code));
        scene.strict(5_000, true).await?;
        assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND, "{code}");
        scene.strict(5_000, false).await?;
        is_unavailable(&client.get(UNKNOWN).await?)?;
    }
    // Too late, though right.
    scene.fake.says(Says::Late(409, Duration::from_secs(20)));
    for (passes, status) in
        [(true, StatusCode::NOT_FOUND), (false, StatusCode::SERVICE_UNAVAILABLE)]
    {
        scene.strict(300, passes).await?;
        let begun = Instant::now();
        assert_eq!(client.get(UNKNOWN).await?.status, status);
        let took = begun.elapsed();
        // Envoy counts from when it last looked at the clock.
        ensure!(took >= Duration::from_millis(250) && took < Duration::from_secs(10), "{took:?}");
    }
    assert_eq!(scene.verdicts("no_answer").await?, 14.0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_companion_that_is_not_there_delays_nobody() -> Result<()> {
    let mut scene = Scene::start().await?;
    // The port closes with the task, connections that are there with it.
    scene.fake.task.abort();
    scene.stack.companion.kill_9();
    let client = scene.client(Http::Two)?;
    wait::until("the port to be closed", Duration::from_secs(10), async || {
        match tokio::net::TcpStream::connect(("127.0.0.1", scene.stack.companion.port())).await {
            Ok(_) => Err("open"),
            Err(_) => Ok(()),
        }
    })
    .await?;
    scene.strict(20_000, true).await?;
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND);
    }
    scene.strict(20_000, false).await?;
    for _ in 0..5 {
        is_unavailable(&client.get(UNKNOWN).await?)?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Nor does one that Envoy has never heard of.
    scene
        .pusher
        .push(&scene.stack, |map| {
            let strict = map.strict_not_found.as_mut();
            strict.unwrap().cluster = "nosuch".into();
        })
        .await?;
    is_unavailable(&client.get(UNKNOWN).await?)?;
    assert_eq!(scene.verdicts("no_answer").await?, 11.0);
    scene.is_sound().await
}

fn canned(status: StatusCode, content_type: &str, body: &str) -> Result<Canned> {
    let headers = [(reqwest::header::CONTENT_TYPE, content_type.parse()?)].into_iter().collect();
    Ok(Canned { status, headers, body: body.into(), ..Canned::default() })
}

#[tokio::test]
async fn nothing_else_is_asked_about() -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.fake.says(Says::Status(409));
    let client = scene.client(Http::Two)?;
    let object = "/api/v1/namespaces/default/configmaps/absent";
    assert_eq!(client.get(object).await?.json()?["details"]["name"], "absent");
    assert_eq!(client.get("/nosuch").await?.status, StatusCode::NOT_FOUND);
    let beyond = "/api/v1/namespaces/default/pods/p/log/beyond";
    assert_eq!(client.get(beyond).await?.status, StatusCode::NOT_FOUND);
    client.get("/api/v1/nodes").await?.ok()?;

    // Who may not ask has been told so, and is told no more.
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#;
    for code in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED] {
        for peer in &scene.fleet.peers {
            peer.answer_with(UNKNOWN, canned(code, "application/json", status)?);
        }
        let answer = client.get(UNKNOWN).await?;
        assert_eq!((answer.status, answer.text().as_str()), (code, status));
    }
    // A 404 that is not of the type: of an object, or somebody else's.
    let long = "x".repeat(100_000);
    let others = [
        ("application/json", r#"{"kind":"Status","details":{"name":"f"},"code":404}"#),
        ("text/html", "404 page not found\n"),
        ("text/plain", &long),
    ];
    for (content_type, body) in others {
        for peer in &scene.fleet.peers {
            peer.answer_with(UNKNOWN, canned(StatusCode::NOT_FOUND, content_type, body)?);
        }
        let answer = client.get(UNKNOWN).await?;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, body));
    }
    assert_eq!(scene.fake.paths(), [""; 0]);

    // Nor is anything asked by a map that names nobody to ask.
    for peer in &scene.fleet.peers {
        peer.answer_as_recorded();
    }
    scene.pusher.push(&scene.stack, |map| map.strict_not_found = None).await?;
    assert_eq!(client.get(UNKNOWN).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(scene.fake.paths(), [""; 0]);
    scene.is_sound().await
}

#[tokio::test]
async fn each_of_many_gets_its_own_answer() -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.fake.says(Says::ByName);
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
    // Not so many at once that a peer refuses some.
    for _ in 0..4 {
        try_join_all((0..150).map(ask)).await?;
    }
    assert_eq!(scene.verdicts("absent").await?, 200.0);
    assert_eq!(scene.verdicts("served").await?, 400.0);
    scene.is_sound().await
}

#[tokio::test]
async fn clients_that_leave_while_the_companion_thinks_leave_nothing_behind() -> Result<()> {
    // One worker: every request meets the same VM.
    let mut scene = Scene::start_with(|options| options.concurrency = 1).await?;
    for code in [204, 409] {
        scene.fake.says(Says::Late(code, Duration::from_secs(1)));
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
            asked += scene.fake.paths().len();
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
async fn a_push_while_the_companion_thinks_changes_nothing() -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.fake.says(Says::Late(409, Duration::from_secs(2)));
    let client = scene.client(Http::Two)?;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get(UNKNOWN).await }
    });
    wait::until("it to be asked about", Duration::from_secs(10), async || {
        ensure!(!scene.fake.paths().is_empty(), "not yet");
        anyhow::Ok(())
    })
    .await?;
    scene.pusher.push(&scene.stack, |map| map.strict_not_found = None).await?;
    is_unavailable(&waiting.await??)?;
    scene.is_sound().await
}
