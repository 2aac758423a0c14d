//! Merged discovery: the documents that clients get instead of a server's own.
//! The tests make the maps, so each byte of an answer is known.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::io::Read;

use anyhow::{Result, ensure};
use discovery_map::{DocumentEncoding, DocumentForm, MergedDocument, OpenApi};
use fake_apiserver::replay::Canned;
use flate2::read::GzDecoder;
use harness::pushed::merged;
use reqwest::{Method, StatusCode};
use routing::encode;
use serde_json::Value;
use wire::client::{Client, Http};

mod access;
mod pushes;
mod scene;

use scene::{
    ASKED, DOCUMENTS, ROUNDS, V2, all, content, etag, get, has_the_headers_of, peer_etag, said,
    sent, sent_in_all, start,
};

#[tokio::test]
async fn every_form_of_discovery_is_merged() -> Result<()> {
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            for round in 0..ROUNDS {
                let query = match (path, round % 2) {
                    (_, 0) => "",
                    ("/openapi/v3", _) => "?timeout=32s",
                    _ => "/?timeout=32s",
                };
                let answer = get(&client, &format!("{path}{query}"), &[("accept", accept)]).await?;
                assert_eq!(answer.status, StatusCode::OK, "{path} {accept}: {answer:?}");
                assert_eq!(answer.text().as_bytes(), content(path, form), "{path} {accept}");
                has_the_headers_of(&answer, path, form);
            }
        }
    }
    let times = 2.0 * ROUNDS as f64;
    assert_eq!(sent(&scene, "aggregated_v2").await?, 2.0 * times);
    assert_eq!(sent(&scene, "aggregated_v2beta1").await?, times);
    assert_eq!(sent(&scene, "plain").await?, 6.0 * times);
    // The peer sends no body of the documents with an `ETag`.
    assert_eq!(said(&scene, "", 304).await?, 3 * 2 * ROUNDS as u64);
    assert_eq!(scene.stack.decisions("discovery", 9.0 * times).await?, 9.0 * times);
    scene.is_sound().await
}

/// The media types below `application/`, without and with the `User-Agent` of a human's client.
const ENCODINGS: [(&str, &str); 4] = [
    ("json", "kubectl/v1.36.3"),
    ("json", "curl/8.14.1"),
    ("yaml", "kubectl/v1.36.3"),
    ("vnd.kubernetes.protobuf", "kubectl/v1.36.3"),
];

#[tokio::test]
async fn every_document_is_there_in_every_encoding() -> Result<()> {
    let mut scene = start().await?;
    for (path, form, accept) in DOCUMENTS.into_iter().filter(|(path, ..)| *path != "/openapi/v3") {
        let json = content(path, form);
        let value: Value = serde_json::from_slice(&json)?;
        for (media_type, user_agent) in ENCODINGS {
            let parameters = accept.split_once(';').map_or("", |(_, parameters)| parameters);
            let wanted = format!("application/{media_type};{parameters}");
            let wanted = wanted.trim_end_matches(';');
            let mut bodies = Vec::new();
            for round in 0..ROUNDS {
                // Another connection: another worker.
                let client = scene.client(if round % 2 == 0 { Http::One } else { Http::Two })?;
                let headers = [("accept", wanted), ("user-agent", user_agent)];
                let answer = get(&client, path, &headers).await?.ok()?;
                assert_eq!(all(&answer, "content-type"), [wanted], "{path}");
                assert_eq!(
                    answer.header("etag"),
                    etag(path, form).map(|e| format!("\"{e}\"")).as_deref()
                );
                bodies.push(answer.body);
            }
            bodies.dedup();
            let [body] = &bodies[..] else { anyhow::bail!("{path} {wanted}: {bodies:?}") };
            match (media_type, user_agent) {
                ("yaml", _) => assert_eq!(serde_saphyr::from_slice::<Value>(body)?, value),
                ("json", "curl/8.14.1") => {
                    assert!(body.starts_with(b"{\n  \"kind\": "), "{path}: {body:?}");
                    assert_eq!(serde_json::from_slice::<Value>(body)?, value);
                }
                ("json", _) => assert_eq!(*body, json),
                // That this is what servers write is shown elsewhere.
                _ => assert_eq!(encode(&json, DocumentEncoding::Protobuf).as_ref(), Some(body)),
            }
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_with_the_current_merged_document_gets_304() -> Result<()> {
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS.into_iter().take(3) {
            let own = format!("\"{}\"", etag(path, form).unwrap_or_default());
            let headers = [("accept", accept), ("if-none-match", &own)];
            for method in [Method::GET, Method::HEAD] {
                let answer = client.send_with(method, path, &headers).await?;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{path}");
                has_the_headers_of(&answer, path, form);
            }
            // The peer's own ETag does not match; nor do other forms of the client's.
            let peers = format!("\"{}\"", peer_etag(&scene, path).await?);
            let list = format!("{own}, \"other\"");
            for other in [peers.as_str(), "*", &list, &format!("W/{own}"), ""] {
                let headers = [("accept", accept), ("if-none-match", other)];
                let answer = get(&client, path, &headers).await?;
                assert_eq!(answer.status, StatusCode::OK, "{path} {other}");
                assert_eq!(answer.text().as_bytes(), content(path, form));
            }
        }
        // A document without an ETag is always sent in full.
        let headers = [
            ("if-none-match", "\"\""),
            ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("range", "bytes=0-3"),
        ];
        let answer = get(&client, "/openapi/v3", &headers).await?;
        assert_eq!((answer.status.as_u16(), answer.header("content-range")), (200, None));
        assert_eq!(answer.body, content("/openapi/v3", DocumentForm::Plain));
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_large_document_is_compressed_for_clients_that_accept_gzip() -> Result<()> {
    let mut scene = start().await?;
    let mut large = b"[".to_vec();
    for number in 0..60_000_u32 {
        large.extend(format!("{number},").bytes());
    }
    large.extend(b"0]\n");
    ensure!(large.len() > 300_000);
    let peer_etag = Some(peer_etag(&scene, "/apis").await?);
    let (path, form) = ("/apis", DocumentForm::AggregatedV2);
    let document = merged(path, form, scene.set_of(ASKED)?, &large)?;
    let document = MergedDocument { etag: etag(path, form), peer_etag, ..document };
    let plain = merged("/apis/apps/v1", DocumentForm::Plain, scene.set_of(ASKED)?, &large)?;
    scene.push(|map| map.documents = vec![document, plain]).await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, accept, vary) in [
            // Envoy puts the two that a server sends into one.
            ("/apis", V2, ["Accept,Accept-Encoding"]),
            ("/apis/apps/v1", "application/json", ["Accept-Encoding"]),
        ] {
            let headers = [("accept", accept), ("accept-encoding", "deflate, gzip")];
            let answer = get(&client, path, &headers).await?.ok()?;
            assert_eq!(answer.header("content-encoding"), Some("gzip"));
            assert_eq!(all(&answer, "vary"), vary);
            assert!(answer.body.len() < large.len() / 2);
            let mut inflated = Vec::new();
            GzDecoder::new(answer.body.as_slice()).read_to_end(&mut inflated)?;
            assert!(inflated == large);

            for encoding in ["identity", "br", "gzip;q=0.5"] {
                let headers = [("accept", accept), ("accept-encoding", encoding)];
                let answer = get(&client, path, &headers).await?.ok()?;
                assert_eq!(answer.header("content-encoding"), None);
                assert!(answer.body == large);
            }
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() -> Result<()> {
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            // A server does not know HEAD of the others.
            if !matches!(path, "/api" | "/apis" | "/openapi/v3") {
                continue;
            }
            let answer = client.send_with(Method::HEAD, path, &[("accept", accept)]).await?;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{path}");
            has_the_headers_of(&answer, path, form);
            client.get("/api/v1/nodes").await?.ok()?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn what_is_not_merged_reaches_one_peer_unchanged() -> Result<()> {
    let mut scene = start().await?;
    let direct = scene.fleet.client(&scene.fleet.peers[1].url(), Http::One)?;
    let through = scene.client(Http::One)?;
    let nopeer = format!("{V2};profile=nopeer,{V2},application/json");
    let yaml_nopeer = format!("{};profile=nopeer", V2.replace("json", "yaml"));
    let etag = peer_etag(&scene, "/apis").await?;
    let quoted = format!("\"{etag}\"");
    let cases = [
        ("GET", "/apis", nopeer.as_str(), ""),
        ("GET", "/apis", nopeer.as_str(), quoted.as_str()),
        ("GET", "/apis", yaml_nopeer.as_str(), ""),
        // Refused as by the peer: 406.
        ("GET", "/api", "text/html", ""),
        ("GET", "/apis", "application/yaml;stream=watch", ""),
        ("GET", "/apis/apps", V2, ""),
        ("GET", "/apis/apps/v1", "application/*", ""),
        ("GET", "/api/v1", "application/cbor", ""),
        ("POST", "/apis/apps/v1", "application/json", ""),
        ("DELETE", "/api/v1", "application/json", ""),
        // Not merged, as all peers have the same one.
        ("GET", "/apis/batch", "application/json", ""),
        ("GET", "/apis/batch/v1", "application/json", ""),
    ];
    for (method, path, accept, if_none_match) in cases {
        let ask = async |client: &Client| {
            let method = Method::from_bytes(method.as_bytes())?;
            let mut request = client.request(method, path).header("accept", accept);
            if !if_none_match.is_empty() {
                request = request.header("if-none-match", if_none_match);
            }
            client.send(request).await
        };
        let expected = ask(&direct).await?;
        for _ in 0..2 {
            let found = ask(&through).await?;
            let case = format!("{method} {path} {accept}");
            assert_eq!((found.status, &found.body), (expected.status, &expected.body), "{case}");
            for name in ["content-type", "cache-control", "etag", "vary"] {
                assert_eq!(found.header(name), expected.header(name), "{case} {name}");
            }
        }
    }
    assert_eq!(sent_in_all(&scene).await?, 0.0);
    scene.is_sound().await
}

#[tokio::test]
async fn open_api_documents_come_from_the_servers_that_the_map_names() -> Result<()> {
    let mut scene = start().await?;
    let set = scene.set_of(ASKED)?;
    let (v2, v3) = ("/openapi/v2", "/openapi/v3/apis/apps/v1");
    for peer in &scene.fleet.peers {
        for path in [v2, v3, "/openapi/v3/version"] {
            let body = peer.name().as_bytes().to_vec();
            peer.answer_with(path, Canned { body, ..Canned::default() });
        }
    }
    scene
        .push(|map| {
            map.widest_view = 0;
            let v3 = [("apis/apps/v1".into(), set)].into();
            map.open_api = OpenApi { v2: Some(set), v3 };
        })
        .await?;
    let client = scene.client(Http::Two)?;
    let mut others = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        for path in [v2, v3, "/openapi/v3/apis/apps/v1?hash=0A1B"] {
            let accept = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
            let answer = get(&client, path, &[("accept", accept)]).await?.ok()?;
            assert_eq!(answer.text(), "cp-2", "{path}");
        }
        others.insert(client.get("/openapi/v3/version").await?.ok()?.text());
    }
    assert_eq!(others.len(), 2, "{others:?}");
    scene.is_sound().await
}
