//! Merged documents that are older than the servers: the companion is dead, and a
//! client that defines types finds them at once, as at a single server.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use discovery_map::DocumentForm;
use fake_apiserver::replay::{Canned, CannedEnd, Crd};
use harness::pushed::PushedStack;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use wire::client::{Answer, Client, Http};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// As often as it takes for round robin to have met every peer and worker.
const ROUNDS: usize = 12;

/// How many bytes Envoy buffers for a client, as in the configuration for load balancers.
const BUFFER: u32 = 32 << 10;

/// The documents that list groups: path, form, and an `Accept` header that asks for it. Where the
/// servers have the same one, as `/apis` in its plain form, they answer themselves.
const DOCUMENTS: [(&str, DocumentForm, &str); 4] = [
    ("/apis", DocumentForm::AggregatedV2, V2),
    ("/apis", DocumentForm::AggregatedV2beta1, V2BETA1),
    ("/apis", DocumentForm::Plain, "application/json"),
    ("/openapi/v3", DocumentForm::Plain, ""),
];

/// Starts a stack with a real map of two versions, and kills the companion.
async fn start() -> Result<PushedStack> {
    PushedStack::start(|options| options.client_buffer_limit = Some(BUFFER)).await
}

/// Defines `count` types at all peers, each in a group of its own. The index of OpenAPI v3 lists
/// nothing else.
fn define(scene: &PushedStack, count: usize) -> Result<()> {
    for peer in &scene.fleet.peers {
        let crd = |number| Crd::new(&format!("g{number}.example.com"), "Widget");
        peer.set_crds((0..count).map(crd).collect())?;
    }
    let path = |number| {
        let path = format!("apis/g{number}.example.com/v1");
        let url = json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={number:0128}") });
        (path, url)
    };
    let index = json!({ "paths": (0..count).map(path).collect::<Map<_, _>>() });
    let body = index.to_string().into_bytes();
    scene.all_answer_with("/openapi/v3", &Canned { body, ..Canned::default() });
    Ok(())
}

/// Returns the names of the groups, or the paths, that a document lists.
fn listed(answer: &Answer) -> Result<BTreeSet<String>> {
    let document: Value = answer.json()?;
    if let Some(paths) = document.get("paths").and_then(Value::as_object) {
        return Ok(paths.keys().cloned().collect());
    }
    let list = document.get("items").or(document.get("groups")).and_then(Value::as_array);
    let name = |item: &Value| {
        let name = item.pointer("/metadata/name").or(item.get("name")).and_then(Value::as_str);
        name.map(str::to_owned).context("an entry without a name")
    };
    list.context("no list")?.iter().map(name).collect()
}

async fn get(client: &Client, path: &str, accept: &str) -> Result<Answer> {
    client.send_with(Method::GET, path, &[("accept", accept)]).await?.ok()
}

async fn extended(scene: &PushedStack) -> Result<f64> {
    scene.stack.envoy.metric("mixed_version_proxy_merged_documents_extended_total", &[]).await
}

#[tokio::test]
async fn a_type_is_in_every_document_as_soon_as_a_server_knows_it() -> Result<()> {
    const TYPES: usize = 400;
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, _, accept) in DOCUMENTS {
            define(&scene, 0)?;
            let before = listed(&get(&client, path, accept).await?)?;
            define(&scene, TYPES)?;
            for _ in 0..ROUNDS {
                let answer = get(&client, path, accept).await?;
                let now = listed(&answer)?;
                ensure!(now.is_superset(&before), "{path} {accept} lost groups");
                ensure!(now.len() == before.len() + TYPES, "{path} {accept}: {}", now.len());
                ensure!(answer.body.len() > BUFFER as usize, "{path} {accept} is small");
            }
        }
    }
    let is_merged = |(path, form): (&str, DocumentForm)| {
        scene.map.documents.iter().any(|merged| (&*merged.path, merged.form) == (path, form))
    };
    let merged = DOCUMENTS.iter().filter(|(path, form, _)| is_merged((path, *form))).count();
    ensure!(merged >= 3, "only {merged} documents are merged");
    assert_eq!(extended(&scene).await?, 2.0 * (merged * ROUNDS) as f64);
    scene.is_sound().await
}

#[tokio::test]
async fn an_extended_document_has_an_etag_and_every_encoding() -> Result<()> {
    let mut scene = start().await?;
    let client = scene.client(Http::Two)?;
    let merged = get(&client, "/apis", V2).await?;
    define(&scene, 1)?;
    let extended = get(&client, "/apis", V2).await?;
    let etag = extended.header("etag").context("no ETag")?;
    assert_ne!(merged.header("etag"), Some(etag));
    for media_type in
        ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
    {
        let accept = V2.replace("application/json", media_type);
        let answer = get(&client, "/apis", &accept).await?;
        assert_eq!(answer.header("content-type"), Some(&*accept));
        ensure!(answer.body.windows(14).any(|part| part == b"g0.example.com"), "{accept}");
    }
    let again = [("accept", V2), ("if-none-match", etag)];
    let answer = client.send_with(Method::GET, "/apis", &again).await?;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));

    // The next map knows what the servers know.
    define(&scene, 0)?;
    scene.push(|_| {}).await?;
    let answer = get(&client, "/apis", V2).await?;
    assert_eq!(answer.header("etag"), merged.header("etag"));
    scene.is_sound().await
}

/// Returns an answer with a document that lists `count` more groups.
fn newer(number: usize, count: usize, end: CannedEnd) -> Result<Canned> {
    let item = |number| json!({ "metadata": { "name": format!("g{number}.example.com") } });
    let document = json!({ "items": (0..count).map(item).collect::<Vec<_>>() });
    let mut canned = Canned { body: document.to_string().into(), end, ..Canned::default() };
    canned.headers.insert("etag", format!("\"{number}{end:?}\"").parse()?);
    Ok(canned)
}

/// Envoy counts what it buffers when the next piece comes, whatever the filter took by then.
#[tokio::test]
async fn a_document_is_larger_than_envoys_buffer_and_comes_in_any_pieces() -> Result<()> {
    const GROUPS: usize = 4000;
    let mut scene = start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        let merged = listed(&get(&client, "/apis", V2).await?)?;
        for (number, end) in [CannedEnd::Paused, CannedEnd::Trailers].into_iter().enumerate() {
            let canned = newer(number, GROUPS, end)?;
            ensure!(canned.body.len() > 4 * BUFFER as usize, "the document is small");
            for round in 0..ROUNDS {
                // Each round another document, so that it is read.
                let number = number * ROUNDS + round;
                let canned = newer(number, GROUPS, end)?;
                scene.all_answer_with("/apis", &canned);
                let answer = get(&client, "/apis", V2).await?;
                assert_eq!(listed(&answer)?.len(), merged.len() + GROUPS, "{end:?} {http:?}");
            }
        }
        for peer in &scene.fleet.peers {
            peer.answer_as_recorded();
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_document_that_adds_nothing_or_cannot_be_read_leaves_the_merged_one() -> Result<()> {
    let mut scene = start().await?;
    let client = scene.client(Http::Two)?;
    let merged = get(&client, "/apis", V2).await?;
    for (number, body) in ["{\"items\":[", "{\"items\":[]}", "\u{1f}\u{8b}", ""].iter().enumerate()
    {
        for end in [CannedEnd::Complete, CannedEnd::Trailers] {
            let canned = Canned { body: (*body).into(), ..newer(number, 0, end)? };
            scene.all_answer_with("/apis", &canned);
            assert_eq!(get(&client, "/apis", V2).await?.body, merged.body, "{canned:?}");
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_does_not_get_a_document_that_its_server_broke_off() -> Result<()> {
    let mut scene = start().await?;
    scene.all_answer_with("/apis", &newer(0, 10, CannedEnd::Broken)?);
    for http in [Http::One, Http::Two] {
        let headers = [("accept", V2)];
        let answer = scene.client(http)?.send_with(Method::GET, "/apis", &headers).await?;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    }
    scene.is_sound().await
}

/// A server sends no 404 with trailers, but a proxy before it can.
#[tokio::test]
async fn a_404_that_ends_with_a_trailer_is_asked_of_the_next_server() -> Result<()> {
    let mut scene = start().await?;
    let denial = Canned {
        status: StatusCode::NOT_FOUND,
        headers: [(reqwest::header::CONTENT_TYPE, "text/plain".parse()?)].into_iter().collect(),
        body: b"404 page not found\n".to_vec(),
        end: CannedEnd::Trailers,
        ..Canned::default()
    };
    scene.fleet.peers[0].answer_with("/api/v1/nodes", denial);
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for _ in 0..ROUNDS {
            client.get("/api/v1/nodes").await?.ok()?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_document_without_an_end_is_not_kept_for_ever() -> Result<()> {
    let mut scene = start().await?;
    let client = scene.client(Http::Two)?;
    let merged = get(&client, "/apis", V2).await?;
    let endless = Canned { end: CannedEnd::Endless, ..Canned::default() };
    scene.all_answer_with("/apis", &endless);
    for _ in 0..ROUNDS {
        assert_eq!(get(&client, "/apis", V2).await?.body, merged.body);
    }
    scene.is_sound().await
}
