//! Merged documents of OpenAPI v3 in a real Envoy. The test makes the maps, so each byte of an
//! answer is known.

use anyhow::{Context, Result};
use discovery_map::{DocumentForm, MergedDocument};
use fake_apiserver::replay::{OpenApiDocument, PEER_HEADER};
use harness::pushed::{PushedStack, merged};
use reqwest::{Method, StatusCode};
use wire::client::Http;

/// The document, below `/openapi/v3/`.
const DOCUMENT: &str = "apis/apps/v1";
const PATH: &str = "/openapi/v3/apis/apps/v1";

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

/// The cluster whose peers are asked.
const ASKED: &str = "kube-apiserver_cp-2";

/// The merged document in its forms. The protobuf is no UTF-8.
const FORMS: [(DocumentForm, &str, &[u8]); 2] = [
    (DocumentForm::Plain, JSON, b"{\"openapi\":\"3.0.0\",\"paths\":{}}"),
    (DocumentForm::Protobuf, PROTOBUF, b"\n\x053.0.0\xff\x00\x80"),
];

/// Starts a stack whose peers have a document each, and whose map has a merged one.
async fn start() -> Result<PushedStack> {
    let mut scene = PushedStack::start(|_| {}).await?;
    let mut hashes = Vec::new();
    for peer in &scene.fleet.peers {
        let json = format!("{{\"of\":\"{}\"}}", peer.name()).into_bytes();
        let document = OpenApiDocument { json, protobuf: b"of a peer".to_vec() };
        hashes.push(document.hash());
        peer.set_open_api([(DOCUMENT.to_owned(), document)]);
    }
    let (set, peer_etag) = (scene.set_of(ASKED)?, hashes.into_iter().nth(1));
    let document = |(form, _, content): (DocumentForm, &str, &[u8])| {
        let document = merged(PATH, form, set, content)?;
        let (etag, peer_etag) = (Some("MERGED".to_owned()), peer_etag.clone());
        anyhow::Ok(MergedDocument { etag, peer_etag, ..document })
    };
    let documents = FORMS.into_iter().map(document).collect::<Result<Vec<_>>>()?;
    scene.push(|map| map.documents = documents).await?;
    Ok(scene)
}

#[tokio::test]
async fn each_form_is_answered_as_a_server_does_and_the_access_check_has_no_body() -> Result<()> {
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (_, accept, content) in FORMS {
            for method in [Method::GET, Method::HEAD] {
                let answer = client.send_with(method.clone(), PATH, &[("accept", accept)]).await?;
                assert_eq!(answer.status, StatusCode::OK);
                assert_eq!(answer.body, if method == Method::GET { content } else { b"" });
                let expected = [
                    ("content-type", Some(accept)),
                    ("etag", Some("\"MERGED\"")),
                    ("vary", Some("Accept")),
                    ("cache-control", Some("no-cache, private")),
                    ("expires", None),
                    (PEER_HEADER, Some("cp-2")),
                ];
                for (name, value) in expected {
                    assert_eq!(answer.header(name), value, "{name}: {answer:?}");
                }
            }
        }
        let answer = client.send_with(Method::GET, PATH, &[("accept", OLD_PROTOBUF)]).await?;
        assert_eq!(answer.header("content-type"), Some(PROTOBUF));
        let known = [("accept", JSON), ("if-none-match", "\"MERGED\"")];
        let answer = client.send_with(Method::GET, PATH, &known).await?;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
    let asked = scene.stack.envoy.stat(&format!("cluster.{ASKED}.upstream_rq_304")).await?;
    assert_eq!(asked, Some(12));
    scene.is_sound().await
}

#[tokio::test]
async fn with_its_hash_a_document_may_be_cached_and_any_other_hash_is_redirected() -> Result<()> {
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (_, accept, content) in FORMS {
            let path = format!("{PATH}?hash=MERGED");
            let answer = client.send_with(Method::GET, &path, &[("accept", accept)]).await?;
            assert_eq!((answer.status, &*answer.body), (StatusCode::OK, content));
            assert_eq!(answer.header("cache-control"), Some("public, immutable"));
            let (date, expires) = (answer.header("date"), answer.header("expires"));
            let date = date.and_then(year).context("no date")?;
            assert_eq!(expires.and_then(year), Some(date + 1), "{answer:?}");
            for hash in ["PEER", "merged"] {
                let path = format!("{PATH}?hash={hash}");
                let answer = client.send_with(Method::GET, &path, &[("accept", accept)]).await?;
                assert_eq!(answer.status, StatusCode::MOVED_PERMANENTLY, "{answer:?}");
                assert_eq!(answer.header("location"), Some(&*format!("{PATH}?hash=MERGED")));
                assert_eq!(answer.header("cache-control"), Some("no-cache, private"));
            }
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_form_that_no_server_has_is_refused_by_a_server() -> Result<()> {
    let mut scene = start().await?;
    let client = scene.client(Http::Two)?;
    let answer = client.send_with(Method::GET, PATH, &[("accept", "text/html")]).await?;
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
    scene.is_sound().await
}

/// Returns the year of an HTTP date.
fn year(date: &str) -> Option<u32> {
    date.split(' ').nth(3)?.parse().ok()
}
