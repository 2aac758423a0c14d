//! The merged discovery documents that the map carries.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use discovery_map::{DocumentForm, MapDocument, MergedDocument};
use serde_json::Value;

use crate::companion::Companion;
use crate::peers::{Authority, Peer};

const COMMON: &[&str] = &["/v1/pods", "apps/v1/deployments"];
const MORE: &[&str] = &["/v1/pods", "apps/v1/deployments", "new/v1/things"];

/// The map as it travels.
fn map(companion: &Companion) -> (usize, MapDocument) {
    let text = companion.map_text().unwrap_or_default();
    (text.len(), serde_json::from_str(&text).unwrap())
}

fn document(companion: &Companion, path: &str, form: DocumentForm) -> Option<MergedDocument> {
    let documents = map(companion).1.documents.into_iter();
    documents.into_iter().find(|document| document.path == path && document.form == form)
}

fn text(document: &MergedDocument) -> String {
    let gzip = base64::engine::general_purpose::STANDARD.decode(&document.gzip).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*gzip).read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), usize::try_from(document.size).unwrap());
    text
}

fn groups(companion: &Companion) -> Option<Vec<String>> {
    let document = document(companion, "/apis", DocumentForm::AggregatedV2)?;
    let list: Value = serde_json::from_str(&text(&document)).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    Some(items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn identical_peers_need_no_merged_document_and_a_difference_makes_one() {
    let authority = Authority::new();
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(map(&companion).1.documents, []);
    a.change(|behavior| behavior.types.push("from-a/v1/things".to_owned()));
    b.change(|behavior| behavior.types.push("from-b/v1/things".to_owned()));
    let all = ["apps", "from-a", "from-b"];
    companion.eventually("the union is published", || groups(&companion).is_some_and(|g| g == all));
    let apis = document(&companion, "/apis", DocumentForm::AggregatedV2).unwrap();
    assert!(apis.peer_etag.is_some() && apis.etag.as_ref().is_some_and(|e| e.len() == 128));
    assert!(document(&companion, "/apis", DocumentForm::AggregatedV2beta1).is_some());
    assert!(document(&companion, "/apis", DocumentForm::Plain).is_some());
    assert!(document(&companion, "/api", DocumentForm::AggregatedV2).is_none());
    // Built in, as its name says: it stays while its only server is away.
    b.kill();
    companion.wait_for_route("from-b/v1/things", "unavailable");
    assert_eq!(groups(&companion).unwrap(), all);
    b.restart();
    companion.wait_for_route("from-b/v1/things", "kube-apiserver_b");
    for peer in [&a, &b] {
        peer.change(|behavior| behavior.types.truncate(COMMON.len()));
    }
    companion.eventually("nothing is left", || map(&companion).1.documents.is_empty());
}

#[test]
fn custom_resources_that_no_serving_peer_lists_are_dropped() {
    let authority = Authority::new();
    let types = &["/v1/pods", "apps/v1/deployments", "example.com/v1/things"];
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, types));
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(companion.route("example.com/v1/things").unwrap(), "kube-apiserver_b");
    assert_eq!(groups(&companion).unwrap(), ["apps", "example.com"]);
    b.kill();
    companion.wait_for_route("example.com/v1/things", "unknown");
    assert_eq!(map(&companion).1.documents, []);
}

#[test]
fn a_restarted_companion_still_lists_what_a_peer_that_is_away_has_built_in() {
    let authority = Authority::new();
    let (a, mut b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    let mut companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(groups(&companion).unwrap(), ["apps", "new"]);
    companion.kill();
    b.kill();
    companion.spawn();
    companion.wait_for_route("new/v1/things", "unavailable");
    assert_eq!(groups(&companion).unwrap(), ["apps", "new"]);
}

#[test]
fn a_peer_without_aggregated_discovery_is_part_of_the_merged_document() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, MORE));
    b.change(|behavior| behavior.legacy = true);
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_complete();
    assert_eq!(groups(&companion).unwrap(), ["apps", "new"]);
}

#[test]
fn a_peer_whose_types_keep_changing_is_logged_and_does_not_delay_other_peers() {
    let authority = Authority::new();
    let (a, b) = (Peer::start(&authority, COMMON), Peer::start(&authority, COMMON));
    let companion = Companion::start_with(&authority, &[&a, &b], "polling: {interval: 100ms}");
    companion.wait_until_ready();
    let mut round = 0;
    companion.eventually("it is named", || {
        round += 1;
        b.change(|behavior| {
            behavior.types.truncate(COMMON.len());
            behavior.types.push(format!("round-{round}/v1/things"));
        });
        std::thread::sleep(Duration::from_millis(100));
        companion.log().contains("keep changing")
    });
    let (_, metrics) = companion.get("/metrics").unwrap();
    assert!(metrics.contains("discovery_changes_total{peer=\"b\"}"), "{metrics}");
    a.change(|behavior| behavior.types.push("calm/v1/things".to_owned()));
    companion.wait_for_route_in_time("calm/v1/things", "kube-apiserver_a");
}
