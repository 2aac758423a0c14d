//! A client may read a merged document if it may read the server's own.

use anyhow::Result;
use fake_apiserver::replay::Canned;
use reqwest::StatusCode;
use wire::client::{Client, ClientOptions, Http};

use super::scene::{DOCUMENTS, ROUNDS, content, get, has_the_headers_of, said, sent_in_all, start};

#[tokio::test]
async fn a_client_that_may_not_read_gets_the_servers_answer() -> Result<()> {
    let mut scene = start().await?;
    let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#;
    for code in [401, 403, 405, 406, 429, 500, 503, 301] {
        let headers = [
            (reqwest::header::CONTENT_TYPE, "application/json".parse()?),
            (reqwest::header::WWW_AUTHENTICATE, "Bearer".parse()?),
        ];
        let canned = Canned {
            status: StatusCode::from_u16(code)?,
            headers: headers.into_iter().collect(),
            body: body.into(),
            ..Canned::default()
        };
        for (path, _, accept) in DOCUMENTS {
            scene.all_answer_with(path, &canned);
            for http in [Http::One, Http::Two] {
                let client = scene.client(http)?;
                for extra in [("x-none", ""), ("if-none-match", "*"), ("accept-encoding", "gzip")] {
                    let answer = get(&client, path, &[("accept", accept), extra]).await?;
                    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (code, body));
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                    assert_eq!(answer.header("content-type"), Some("application/json"));
                    assert_eq!(answer.header("etag"), None);
                }
            }
        }
    }
    // If every server says that there is no such document, so does Envoy.
    let denial = Canned {
        status: StatusCode::NOT_FOUND,
        headers: [(reqwest::header::CONTENT_TYPE, "text/plain".parse()?)].into_iter().collect(),
        body: b"404 page not found\n".to_vec(),
        ..Canned::default()
    };
    scene.all_answer_with("/apis/apps/v1", &denial);
    let answer = scene.client(Http::Two)?.get("/apis/apps/v1").await?;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found\n"));
    assert_eq!(sent_in_all(&scene).await?, 0.0);
    scene.is_sound().await
}

/// To a client that speaks gRPC Envoy says its errors with the status 200.
#[tokio::test]
async fn an_envoy_error_is_not_permission_to_read() -> Result<()> {
    let mut scene = start().await?;
    scene.fleet.peer(1)?.stop().await;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            let headers = [("accept", accept), ("content-type", "application/grpc")];
            let answer = get(&client, path, &headers).await?;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            assert!(answer.header("grpc-status").is_some_and(|status| status != "0"), "{answer:?}");
            let document = String::from_utf8(content(path, form))?;
            assert!(!format!("{answer:?}").contains(document.trim_end()), "{path}: {answer:?}");
            assert!(answer.body.is_empty(), "{path}: {answer:?}");
        }
    }
    assert_eq!(sent_in_all(&scene).await?, 0.0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_server_whose_view_changed_a_moment_ago_authorizes_as_well() -> Result<()> {
    let mut scene = start().await?;
    scene.fleet.peers[1].drop_resource("apps", "v1", "daemonsets")?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            for _ in 0..ROUNDS {
                let answer = get(&client, path, &[("accept", accept)]).await?.ok()?;
                // `envoy/extended.rs` is about what the server's document adds.
                let merged = String::from_utf8(content(path, form))?;
                let listed = merged.trim_end().trim_end_matches("]}");
                assert!(answer.text().starts_with(listed), "{path} {accept}: {}", answer.text());
            }
            // Nothing of the server's own document is left in the connection.
            client.get("/api/v1/nodes").await?.ok()?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_with_a_certificate_reads_the_same_documents() -> Result<()> {
    let mut scene = start().await?;
    let files = scene.fleet.pki().client("alice", "alice", &["dev"])?;
    for http in [Http::One, Http::Two] {
        let client = Client::new(&ClientOptions {
            url: scene.stack.url(),
            ca_pem: scene.fleet.pki().ca_pem(),
            token: None,
            certificate: Some(files.clone()),
            http,
        })?;
        for (path, form, accept) in DOCUMENTS {
            let answer = get(&client, path, &[("accept", accept)]).await?;
            assert_eq!(answer.text().as_bytes(), content(path, form), "{path} {accept}");
            has_the_headers_of(&answer, path, form);
        }
    }
    assert_eq!(said(&scene, "__front-proxy", 304).await?, 6);
    assert_eq!(said(&scene, "", 304).await?, 0);
    scene.is_sound().await
}
