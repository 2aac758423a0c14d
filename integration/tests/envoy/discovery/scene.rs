//! Documents that a test makes and pushes to Envoy, and Envoy's counters of them.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use discovery_map::{DocumentForm, MergedDocument};
use fake_apiserver::replay::PEER_HEADER;
use harness::pushed::{PushedStack, merged};
use reqwest::{Method, StatusCode};
use wire::client::{Answer, Client, Http};

pub const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
pub const V2BETA1: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// As often as it takes for round robin to have met every peer.
pub const ROUNDS: usize = 8;

/// Path, form, and an `Accept` header that asks for it.
pub const DOCUMENTS: [(&str, DocumentForm, &str); 9] = [
    ("/api", DocumentForm::AggregatedV2, V2),
    ("/apis", DocumentForm::AggregatedV2, V2),
    ("/apis", DocumentForm::AggregatedV2beta1, V2BETA1),
    ("/apis", DocumentForm::Plain, "application/json"),
    ("/api", DocumentForm::Plain, "*/*"),
    ("/api/v1", DocumentForm::Plain, "application/json"),
    ("/apis/apps", DocumentForm::Plain, ""),
    ("/apis/apps/v1", DocumentForm::Plain, "application/json, */*"),
    ("/openapi/v3", DocumentForm::Plain, PROTOBUF),
];

/// Returns the content of a document in these tests: of its kind, and with its path as a name.
/// Documents that have no `ETag` have no list either, so that nothing of a server's own is added.
pub fn content(path: &str, form: DocumentForm) -> Vec<u8> {
    let list = |version| {
        format!(
            "{{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/{version}\",\
             \"metadata\":{{}},\"items\":[{{\"metadata\":{{\"name\":\"{path}\"}},\"versions\":[]}}]}}"
        )
    };
    let document = match (form, path) {
        (DocumentForm::AggregatedV2, _) => list("v2"),
        (DocumentForm::AggregatedV2beta1, _) => list("v2beta1"),
        (_, "/api") => format!("{{\"kind\":\"APIVersions\",\"versions\":[\"{path}\"]}}"),
        (_, "/apis") => {
            format!("{{\"kind\":\"APIGroupList\",\"apiVersion\":\"{path}\"}}")
        }
        (_, "/apis/apps") => format!("{{\"kind\":\"APIGroup\",\"name\":\"{path}\"}}"),
        (_, "/openapi/v3") => format!("{{\"path\":\"{path}\"}}"),
        _ => format!("{{\"kind\":\"APIResourceList\",\"groupVersion\":\"{path}\"}}"),
    };
    (document + "\n").into_bytes()
}

pub fn etag(path: &str, form: DocumentForm) -> Option<String> {
    let letters = path.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02X}").ok();
        hex
    });
    (form != DocumentForm::Plain).then(|| format!("{letters}{form:?}"))
}

/// The cluster that is asked about all documents.
pub const ASKED: &str = "kube-apiserver_cp-2";

/// Starts a stack whose map merges all documents; a set of one peer is asked about them.
pub async fn start() -> Result<PushedStack> {
    let mut scene = PushedStack::start(|_| {}).await?;
    let documents = documents(&scene).await?;
    scene.push(|map| map.documents = documents).await?;
    Ok(scene)
}

async fn documents(scene: &PushedStack) -> Result<Vec<MergedDocument>> {
    let set = scene.set_of(ASKED)?;
    let mut documents = Vec::new();
    for (path, form, _) in DOCUMENTS {
        let document = merged(path, form, set, &content(path, form))?;
        let has_etag = form != DocumentForm::Plain;
        let peer_etag = if has_etag { Some(peer_etag(scene, path).await?) } else { None };
        documents.push(MergedDocument { etag: etag(path, form), peer_etag, ..document });
    }
    Ok(documents)
}

/// Returns the ETag of the asked peer's own aggregated document, without quotes.
pub async fn peer_etag(scene: &PushedStack, path: &str) -> Result<String> {
    let direct = scene.fleet.client(&scene.fleet.peers[1].url(), Http::Two)?;
    let answer = get(&direct, path, &[("accept", V2)]).await?.ok()?;
    Ok(answer.header("etag").context("no ETag")?.trim_matches('"').to_owned())
}

/// Returns how many merged documents of this form were sent.
pub async fn sent(scene: &PushedStack, form: &str) -> Result<f64> {
    let label = format!("form=\"{form}\"");
    scene.stack.envoy.metric("mixed_version_proxy_merged_documents_total", &[&label]).await
}

/// Returns how many merged documents were sent.
pub async fn sent_in_all(scene: &PushedStack) -> Result<f64> {
    scene.stack.envoy.metric("mixed_version_proxy_merged_documents_total", &[]).await
}

/// Returns how often the peers of the asked cluster, or its twin, answered this.
pub async fn said(scene: &PushedStack, twin: &str, status: u16) -> Result<u64> {
    let stat = format!("cluster.{ASKED}{twin}.upstream_rq_{status}");
    Ok(scene.stack.envoy.stat(&stat).await?.unwrap_or_default())
}

pub async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    client.send_with(Method::GET, path, headers).await
}

pub fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

/// Checks for the headers that a real server sends with a document of this form.
pub fn has_the_headers_of(answer: &Answer, path: &str, form: DocumentForm) {
    let aggregated = form != DocumentForm::Plain;
    let expected = match form {
        DocumentForm::Plain if path == "/openapi/v3" => "text/plain; charset=utf-8",
        DocumentForm::Plain => "application/json",
        DocumentForm::AggregatedV2 => V2,
        DocumentForm::AggregatedV2beta1 => V2BETA1,
        DocumentForm::Protobuf => unreachable!("no test here asks for OpenAPI in protobuf"),
    };
    if answer.status == StatusCode::OK {
        assert_eq!(all(answer, "content-type"), [expected], "{path}");
    }
    let cache = if aggregated { "public" } else { "no-cache, private" };
    assert_eq!(all(answer, "cache-control"), [cache], "{path}");
    assert_eq!(all(answer, "vary"), if aggregated { vec!["Accept"] } else { vec![] }, "{path}");
    let etag = etag(path, form).map(|etag| format!("\"{etag}\""));
    assert_eq!(answer.header("etag"), etag.as_deref(), "{path}");
    assert_eq!(all(answer, "date").len(), 1, "{path}");
    assert_eq!(answer.header(PEER_HEADER), Some("cp-2"), "what the peer says besides is lost");
    assert_eq!(answer.header("content-encoding"), None);
}
