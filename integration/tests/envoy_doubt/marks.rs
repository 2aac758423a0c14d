//! Only the filter can set a mark: a server's or client's own has no effect, and
//! none leaves Envoy.

use super::*;

const MARK: &str = discovery_map::DOUBT_HEADER;

fn mark() -> HeaderMap {
    [(HeaderName::from_static(MARK), HeaderValue::from_static("1"))].into_iter().collect()
}

#[tokio::test]
async fn a_server_cannot_make_envoy_ask_another_server() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    let status = r#"{"kind":"Status","details":{"name":"f","kind":"pods"},"code":404}"#;
    for (code, body) in [(200, "here"), (404, status), (503, "later"), (500, "no")] {
        let mut canned = canned(StatusCode::from_u16(code)?, "application/json", body)?;
        canned.headers.extend(mark());
        scene.all_answer_with("/api/v1/namespaces/default/pods", &canned);
        let asked = counted(&scene, async || {
            for _ in 0..4 {
                let answer = client.get("/api/v1/namespaces/default/pods").await?;
                ensure!(answer.status.as_u16() == code && answer.text() == body, "{answer:?}");
                ensure!(answer.header(MARK).is_none(), "{answer:?}");
            }
            Ok(())
        });
        assert_eq!(asked.await?.iter().sum::<u64>(), 4, "{code}");
    }
    scene.is_sound().await
}

#[tokio::test]
async fn headers_of_the_filter_and_envoy_have_no_effect_from_a_client() -> Result<()> {
    let mut scene = start(2).await?;
    let client = scene.client(Http::Two)?;
    for (name, value) in [
        (MARK, "1"),
        ("x-mixed-version-proxy-cluster", "kube-apiserver__rotation"),
        ("x-mixed-version-proxy-denied", "127.0.0.1:1"),
        ("x-envoy-retry-on", "retriable-4xx,5xx"),
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
