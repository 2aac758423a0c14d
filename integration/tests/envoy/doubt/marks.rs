//! Only the filter can set a mark: a server's or client's own has no effect, and
//! none leaves Envoy.

use super::*;

const MARK: &str = discovery_map::DOUBT_HEADER;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Codes and bodies after which a request may have been executed.
const ANSWERS: [(u16, &str); 6] = [
    (200, "here"),
    (201, "made"),
    (404, r#"{"kind":"Status","details":{"name":"f","kind":"pods"},"code":404}"#),
    (409, "taken"),
    (500, "no"),
    (503, "later"),
];

fn marks(values: &[&'static str]) -> HeaderMap {
    let name = HeaderName::from_static(MARK);
    values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[tokio::test]
async fn a_server_cannot_make_envoy_ask_another_server() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    let values: [&[_]; 3] = [&[discovery_map::DOUBT_MARK], &["yes"], &["1", "1"]];
    for ((code, body), values) in ANSWERS.iter().flat_map(|said| values.map(|v| (*said, v))) {
        let mut canned = canned(StatusCode::from_u16(code)?, "application/json", body)?;
        canned.headers.extend(marks(values));
        scene.all_answer_with(PODS, &canned);
        for method in [Method::GET, Method::POST] {
            let sent = once(&scene, &client, &method, (code, body), HeaderMap::new()).await;
            sent.with_context(|| format!("marked {values:?}"))?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_cannot_make_envoy_ask_another_server() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    let wishes = [
        ("x-envoy-retry-on", "5xx,gateway-error,retriable-4xx,retriable-status-codes"),
        ("x-envoy-retriable-status-codes", "200,201,404,409,500,503"),
        ("x-envoy-max-retries", "5"),
    ];
    let wishes = wishes
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let wishes: HeaderMap = wishes.into_iter().collect();
    for (code, body) in ANSWERS {
        let canned = canned(StatusCode::from_u16(code)?, "application/json", body)?;
        scene.all_answer_with(PODS, &canned);
        for method in [Method::GET, Method::POST] {
            once(&scene, &client, &method, (code, body), wishes.clone()).await?;
        }
    }
    scene.is_sound().await
}

/// Has the servers answer so, some times, and each request sent once.
async fn once(
    scene: &PushedStack,
    client: &Client,
    method: &Method,
    (code, body): (u16, &str),
    headers: HeaderMap,
) -> Result<()> {
    let asked = counted(scene, async || {
        for _ in 0..4 {
            let request = client.request(method.clone(), PODS).headers(headers.clone());
            let answer = client.send(request.body("{}")).await?;
            ensure!(answer.status.as_u16() == code && answer.text() == body, "{answer:?}");
            ensure!(answer.header(MARK).is_none(), "{answer:?}");
        }
        Ok(())
    });
    let asked: u64 = asked.await?.iter().sum();
    ensure!(asked == 4, "{method} that is answered {code} was sent {asked} times instead of 4");
    Ok(())
}

#[tokio::test]
async fn headers_of_the_filter_and_envoy_have_no_effect_from_a_client() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    for (name, value) in [
        (MARK, "1"),
        ("x-mixed-version-proxy-cluster", "kube-apiserver__rotation"),
        ("x-mixed-version-proxy-denied", "127.0.0.1:1"),
        ("x-envoy-max-retries", "0"),
    ] {
        let asked = counted(&scene, async || {
            for (path, expected) in [(UNKNOWN, 404), ("/api/v1/nodes", 200)] {
                let request = client.request(Method::GET, path).header(name, value);
                let answer = client.send(request).await?;
                ensure!(answer.status.as_u16() == expected, "{name}: {answer:?}");
                ensure!(answer.header(MARK).is_none(), "{answer:?}");
            }
            Ok(())
        });
        assert_eq!(asked.await?.iter().sum::<u64>(), 3, "{name}");
    }
    scene.is_sound().await
}

#[tokio::test]
async fn no_answer_to_a_client_has_a_mark() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    // Proved, answered by another server, and unproved.
    for complete in [true, false] {
        scene.push(|map| map.complete = complete).await?;
        for path in [UNKNOWN, CONFIG_MAPS] {
            let answer = client.get(path).await?;
            ensure!(answer.header(MARK).is_none(), "{answer:?}");
        }
    }
    scene.is_sound().await
}
