//! The fake API servers, compared with the answers of real servers and with
//! what tests rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use fake_apiserver::Version;
use fake_apiserver::recordings::{Recorded, Recording};
use fake_apiserver::replay::{Canned, Crd, PEER_HEADER, ReplayOptions, ReplayPeer, Store};
use harness::wait;
use pki::Pki;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use wire::client::{Answer, Client, ClientOptions, Http};
use wire::verbatim::VerbatimClient;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

struct Setup {
    _folder: TempDir,
    pki: Pki,
    store: Store,
}

impl Setup {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let pki = Pki::create(folder.path())?;
        Ok(Self { _folder: folder, pki, store: Store::default() })
    }

    async fn peer(&self, name: &str, version: Version) -> Result<ReplayPeer> {
        let (recording, certificate) = (Recording::of(version)?, self.pki.server(name)?);
        let mut options = ReplayOptions::new(name, recording, certificate);
        options.store = self.store.clone();
        ReplayPeer::start(options).await
    }

    fn client(&self, peer: &ReplayPeer, http: Http) -> Result<Client> {
        let (url, ca_pem) = (peer.url(), self.pki.ca_pem());
        Client::new(&ClientOptions { url, ca_pem, http, ..ClientOptions::default() })
    }
}

/// Returns how `got` differs from the recorded answer; nothing if it does not.
fn difference(recorded: &Recorded, got: &Answer) -> Option<String> {
    let exchange = &recorded.exchange;
    let ignored = ["date", "connection", "content-length", "transfer-encoding", PEER_HEADER];
    let headers: BTreeMap<String, String> = got
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .filter(|(name, _)| !ignored.contains(&name.as_str()))
        .collect();
    if (got.status.as_u16(), &headers) != (exchange.status, &exchange.headers) {
        return Some(format!("{} {headers:?}", got.status));
    }
    let same = got.body == recorded.body || is_same_document(&recorded.body, &got.body);
    (!same).then(|| String::from_utf8_lossy(&got.body).into_owned())
}

/// Documents of custom resources are made by the peer itself: they are equal
/// but for the order of fields and a hash that says where they are stored.
fn is_same_document(recorded: &[u8], got: &[u8]) -> bool {
    let parse = |body| serde_json::from_slice::<Value>(body).ok();
    let (Some(mut recorded), Some(got)) = (parse(recorded), parse(got)) else { return false };
    if !got.to_string().contains("example.com") {
        return false;
    }
    let resources = recorded.get_mut("resources").and_then(Value::as_array_mut);
    for resource in resources.into_iter().flatten() {
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("storageVersionHash");
        }
    }
    recorded == got
}

#[tokio::test]
async fn replay_peer_answers_like_the_real_one() -> Result<()> {
    for &version in Version::ALL {
        let setup = Setup::new()?;
        let peer = setup.peer("a", version).await?;
        let recording = Recording::of(version)?;
        let (custom, builtin): (Vec<_>, Vec<_>) = recording
            .exchanges
            .iter()
            .partition(|recorded| recorded.exchange.path.contains("example.com"));
        let mut differences = compare(&setup, &peer, &builtin).await?;
        let widget = Crd::new("example.com", "Widget").to_object();
        setup.client(&peer, Http::One)?.post(CRDS, &widget).await?.ok()?;
        differences.extend(compare(&setup, &peer, &custom).await?);
        assert!(differences.is_empty(), "{version}:\n{}", differences.join("\n"));
    }
    Ok(())
}

async fn compare(setup: &Setup, peer: &ReplayPeer, recorded: &[&Recorded]) -> Result<Vec<String>> {
    let client = VerbatimClient::new(peer.port(), &setup.pki.ca_pem())?;
    let mut differences = Vec::new();
    for recorded in recorded {
        let exchange = &recorded.exchange;
        let headers: Vec<_> =
            exchange.accept.iter().map(|accept| ("accept", accept.as_str())).collect();
        let body: &'static [u8] = if exchange.method.starts_with('P') { b"{}" } else { b"" };
        let got = client.request(&exchange.method, &exchange.path, &headers, body).await?;
        if let Some(got) = difference(recorded, &got) {
            let expected = String::from_utf8_lossy(&recorded.body);
            let expected: String = expected.chars().take(300).collect();
            differences.push(format!("{exchange:?}\n   wanted {expected}\n   got {got}"));
        }
    }
    Ok(differences)
}

#[tokio::test]
async fn a_matching_etag_costs_no_body() -> Result<()> {
    let setup = Setup::new()?;
    let peer = setup.peer("a", Version::V1_36).await?;
    for http in [Http::One, Http::Two] {
        let client = setup.client(&peer, http)?;
        let get = |etag: &str| {
            let request =
                client.request(reqwest::Method::GET, "/apis").header("accept", AGGREGATED);
            client.send(request.header("if-none-match", etag))
        };
        let first = get("\"x\"").await?;
        assert_eq!(first.status, StatusCode::OK);
        let etag = first.header("etag").context("no ETag")?;
        let second = get(etag).await?;
        assert_eq!((second.status, second.body.len()), (StatusCode::NOT_MODIFIED, 0));
        for other in [format!("W/{etag}"), "*".to_owned(), format!("\"x\", {etag}")] {
            assert_eq!(get(&other).await?.status, StatusCode::OK, "{other}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn peers_share_objects_but_not_types() -> Result<()> {
    let setup = Setup::new()?;
    let (old, new) =
        (setup.peer("old", Version::V1_35).await?, setup.peer("new", Version::V1_36).await?);
    let (old, new) = (setup.client(&old, Http::Two)?, setup.client(&new, Http::Two)?);
    let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
    let object = json!({ "metadata": { "name": "p" } });
    let created = new.post(policies, &object).await?;
    assert_eq!((created.status, created.header(PEER_HEADER)), (StatusCode::CREATED, Some("new")));
    assert!(old.get(&format!("{policies}/p")).await?.is_type_level_404());

    let maps = "/api/v1/namespaces/default/configmaps";
    old.post(maps, &json!({ "metadata": { "name": "c" } })).await?.ok()?;
    assert_eq!(new.get(&format!("{maps}/c")).await?.status, StatusCode::OK);
    let absent = new.get(&format!("{maps}/absent")).await?;
    assert!(absent.status == StatusCode::NOT_FOUND && !absent.is_type_level_404());
    assert_eq!(new.delete(&format!("{maps}/c")).await?.status, StatusCode::OK);
    assert_eq!(old.get(&format!("{maps}/c")).await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn every_server_that_sees_a_crd_in_the_store_serves_it() -> Result<()> {
    let setup = Setup::new()?;
    let (quick, slow) =
        (setup.peer("quick", Version::V1_36).await?, setup.peer("slow", Version::V1_36).await?);
    slow.set_learns_crds(false);
    let (to_quick, to_slow) = (setup.client(&quick, Http::Two)?, setup.client(&slow, Http::Two)?);
    let object = Crd::new("example.com", "Widget").to_object();
    to_quick.post(CRDS, &object).await?.ok()?;
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    to_quick.get(widgets).await?.ok()?;
    assert!(to_slow.get(widgets).await?.is_type_level_404());
    slow.set_learns_crds(true);
    to_slow.get(widgets).await?.ok()?;

    let aggregated = to_slow.request(reqwest::Method::GET, "/apis").header("accept", AGGREGATED);
    let aggregated = to_slow.send(aggregated).await?.text();
    assert!(aggregated.contains("widgets"));
    to_quick.delete(&format!("{CRDS}/widgets.example.com")).await?.ok()?;
    assert!(to_slow.get(widgets).await?.is_type_level_404());
    Ok(())
}

#[tokio::test]
async fn types_are_dropped_from_all_forms_of_discovery() -> Result<()> {
    let setup = Setup::new()?;
    let peer = setup.peer("a", Version::V1_36).await?;
    peer.drop_resource("apps", "v1", "daemonsets")?;
    peer.drop_resource("batch", "v1", "*")?;
    let client = setup.client(&peer, Http::Two)?;
    assert!(client.get("/apis/apps/v1/daemonsets").await?.is_type_level_404());
    client.get("/apis/apps/v1/deployments").await?.ok()?;
    assert!(!client.get("/apis/apps/v1").await?.text().contains("daemonsets"));
    assert!(client.get("/apis/batch").await?.is_type_level_404());
    assert!(!client.get("/apis").await?.text().contains("batch"));
    peer.reset_types()?;
    client.get("/apis/batch/v1").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_watch_shows_existing_objects_and_later_events() -> Result<()> {
    let setup = Setup::new()?;
    let peer = setup.peer("a", Version::V1_35).await?;
    let client = setup.client(&peer, Http::Two)?;
    let maps = "/api/v1/namespaces/default/configmaps";
    for path in [format!("{maps}?watch=1"), maps.replace("v1/", "v1/watch/")] {
        client.post(maps, &json!({ "metadata": { "name": "first" } })).await?.ok()?;
        let mut stream = client.stream(&path).await?;
        let mut text = String::new();
        client.post(maps, &json!({ "metadata": { "name": "second" } })).await?.ok()?;
        client.delete(&format!("{maps}/first")).await?.ok()?;
        client.delete(&format!("{maps}/second")).await?.ok()?;
        let all = tokio::time::timeout(Duration::from_secs(10), async {
            while text.matches("DELETED").count() < 2 {
                let chunk = stream.chunk().await?.context("the watch ended")?;
                text += std::str::from_utf8(&chunk)?;
            }
            anyhow::Ok(())
        });
        all.await??;
        assert_eq!(text.matches("ADDED").count(), 2, "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_upgraded_peer_serves_the_newer_types() -> Result<()> {
    let setup = Setup::new()?;
    let peer = setup.peer("a", Version::V1_35).await?;
    let client = setup.client(&peer, Http::Two)?;
    let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
    assert!(client.get(policies).await?.is_type_level_404());
    peer.upgrade(Recording::of(Version::V1_36)?)?;
    client.get(policies).await?.ok()?;
    assert!(peer.version().starts_with("v1.36."));
    Ok(())
}

#[tokio::test]
async fn a_stopped_peer_refuses_connections_and_comes_back_on_its_port() -> Result<()> {
    let setup = Setup::new()?;
    let mut peer = setup.peer("a", Version::V1_35).await?;
    let client = setup.client(&peer, Http::Two)?;
    client.get("/readyz").await?.ok()?;
    peer.set_ready(false);
    assert_eq!(client.get("/readyz").await?.status, StatusCode::INTERNAL_SERVER_ERROR);
    peer.set_ready(true);
    peer.stop().await;
    assert!(client.get("/readyz").await.is_err());
    peer.start_again().await?;
    wait::until("the peer", Duration::from_secs(30), async || client.get("/readyz").await?.ok())
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_prescribed_answer_replaces_the_recorded_one() -> Result<()> {
    let setup = Setup::new()?;
    let peer = setup.peer("a", Version::V1_35).await?;
    let client = setup.client(&peer, Http::One)?;
    let canned = Canned { status: StatusCode::IM_A_TEAPOT, ..Canned::default() };
    peer.answer_with("/apis", canned);
    assert_eq!(client.get("/apis?x=y").await?.status, StatusCode::IM_A_TEAPOT);
    peer.answer_as_recorded();
    client.get("/apis").await?.ok()?;
    assert_eq!(peer.requests(), 2);
    Ok(())
}
