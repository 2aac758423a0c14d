//! Merged documents of OpenAPI v3: read of peers that send real ones.

use std::io::Read as _;

use base64::Engine as _;
use discovery_map::{DocumentForm, MapDocument, MergedDocument};
use fake_apiserver::replay::OpenApiDocument;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::companion::Companion;
use crate::peers::{Authority, Behavior, Fault, Peer};

/// The path of the documents, below `/openapi/v3/`.
const PATH: &str = "apis/admissionregistration.k8s.io/v1";

/// What both versions describe, and what only the newer one does.
const BOTH: &str = "admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const NEW: &str = "admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

/// Returns a document as a real server of this version sent it.
fn recorded(version: &str) -> OpenApiDocument {
    let read = |form: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../api-discovery/testdata");
        let file = format!("{folder}/{version}/apis_admissionregistration.k8s.io_v1.{form}.gz");
        let mut bytes = Vec::new();
        GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
        bytes
    };
    OpenApiDocument { json: read("json"), protobuf: read("pb") }
}

/// Two peers of one version, as their `/version` says, so that the first one is first in rank.
fn peers(authority: &Authority, first: &str, second: &str) -> (Peer, Peer) {
    let start = |version: &str| {
        let types: &[_] = if version == "v1.36.3" { &[BOTH, NEW] } else { &[BOTH] };
        let peer = Peer::start(authority, &[&["/v1/pods"], types].concat());
        peer.change(|behavior| serve(behavior, version));
        peer
    };
    (start(first), start(second))
}

fn serve(behavior: &mut Behavior, version: &str) {
    behavior.open_api.insert(PATH.to_owned(), recorded(version));
}

fn map(companion: &Companion) -> MapDocument {
    serde_json::from_str(&companion.map_text().unwrap_or_default()).unwrap()
}

fn document(companion: &Companion, path: &str, form: DocumentForm) -> Option<MergedDocument> {
    let mut documents = map(companion).documents.into_iter();
    documents.find(|document| document.path == path && document.form == form)
}

fn merged(companion: &Companion, form: DocumentForm) -> Option<MergedDocument> {
    document(companion, &format!("/openapi/v3/{PATH}"), form)
}

fn content(document: &MergedDocument) -> Vec<u8> {
    let gzip = base64::engine::general_purpose::STANDARD.decode(&document.gzip).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&*gzip).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), usize::try_from(document.size).unwrap());
    bytes
}

/// Returns the URL of the document in the merged index.
fn url(companion: &Companion) -> String {
    let index = document(companion, "/openapi/v3", DocumentForm::Plain).unwrap();
    let index: Value = serde_json::from_slice(&content(&index)).unwrap();
    index["paths"][PATH]["serverRelativeURL"].as_str().unwrap().to_owned()
}

fn reads(companion: &Companion, outcome: &str) -> u64 {
    companion.metric(&format!("openapi_reads_total{{outcome=\"{outcome}\"}}"))
}

fn merges(companion: &Companion) -> u64 {
    companion.metric("openapi_merges_total")
}

fn rounds(companion: &Companion) -> u64 {
    companion.metric("polls_total{peer=\"b\",outcome=\"serving\"}")
}

#[test]
fn what_only_another_peer_describes_is_added_to_the_first_peers_document() {
    let authority = Authority::new();
    let (a, b) = peers(&authority, "v1.35.4", "v1.36.3");
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    companion.eventually("it is merged", || merged(&companion, DocumentForm::Plain).is_some());
    let json = merged(&companion, DocumentForm::Plain).unwrap();
    let protobuf = merged(&companion, DocumentForm::Protobuf).unwrap();
    let own = recorded("v1.35.4");
    assert_eq!(json.peer_etag, Some(own.hash()), "the first peer is asked");
    assert_eq!((&json.etag, &json.peer_etag), (&protobuf.etag, &protobuf.peer_etag));
    let expected = format!("/openapi/v3/{PATH}?hash={}", json.etag.as_deref().unwrap());
    assert_eq!(url(&companion), expected);
    let value: Value = serde_json::from_slice(&content(&json)).unwrap();
    assert_eq!(value["info"]["version"], "1.35");
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
    assert!(value["paths"][path]["post"].is_object());
    let protobuf = content(&protobuf);
    assert!(protobuf.windows(path.len()).any(|bytes| bytes == path.as_bytes()));
    assert!(protobuf.len() > own.protobuf.len());
    // Documents that do not change are not read again, whatever else changes.
    assert_eq!((reads(&companion, "succeeded"), merges(&companion)), (4, 1));
    a.change(|behavior| behavior.types.push("other/v1/things".to_owned()));
    companion.wait_for_route("other/v1/things", "kube-apiserver_a");
    let before = rounds(&companion);
    companion.eventually("more rounds", || rounds(&companion) > before + 3);
    assert_eq!((reads(&companion, "succeeded"), merges(&companion)), (4, 1));
    // When the peers serve the same, there is nothing to be merged.
    a.change(|behavior| {
        behavior.types.push(NEW.to_owned());
        serve(behavior, "v1.36.3");
    });
    companion.eventually("it is gone", || merged(&companion, DocumentForm::Plain).is_none());
}

#[test]
fn a_document_that_has_everything_is_sent_by_its_own_peers() {
    let authority = Authority::new();
    let (a, b) = peers(&authority, "v1.36.3", "v1.35.4");
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    companion.eventually("they are compared", || merges(&companion) == 1);
    assert_eq!(reads(&companion, "succeeded"), 2, "the protobuf was not needed");
    assert!(merged(&companion, DocumentForm::Plain).is_none());
    assert_eq!(url(&companion), format!("/openapi/v3/{PATH}?hash={}", recorded("v1.36.3").hash()));
    let map = map(&companion);
    assert_eq!(map.sets[usize::from(map.open_api.v3[PATH])].peers, [0]);
    assert_eq!(map.sets[usize::from(map.open_api.v2.unwrap())].peers, [0], "it knows most");
}

#[test]
fn a_faulty_document_is_logged_once_counted_and_left_out() {
    let faults = [
        (Fault::Redirect, "302"),
        (Fault::Endless, "more than"),
        (Fault::Stalled, "no answer within"),
        (Fault::Truncated, "OpenAPI document in JSON"),
        (Fault::Garbage, "OpenAPI document in JSON"),
    ];
    for (fault, error) in faults {
        let authority = Authority::new();
        let (a, b) = peers(&authority, "v1.35.4", "v1.36.3");
        b.change(|behavior| behavior.open_api_document_fault = Some(fault));
        let timeout = fault.timeout();
        let settings =
            format!("polling: {{timeout: {timeout}, interval: 200ms, maxResponseBytes: 1048576}}");
        let companion = Companion::start_with(&authority, &[&a, &b], &settings);
        companion.wait_until_complete();
        companion
            .eventually(error, || companion.log().contains("cannot read an OpenAPI v3 document"));
        companion.eventually("others are compared", || merges(&companion) == 1);
        let log = companion.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("cannot read an OpenAPI v3 document"))
            .collect();
        assert!(lines.len() == 1 && lines[0].contains(error) && lines[0].contains(PATH), "{log}");
        let is_unusable = error.starts_with("OpenAPI");
        assert_eq!(reads(&companion, "failed"), u64::from(!is_unusable), "{error}");
        assert_eq!(reads(&companion, "unusable"), u64::from(is_unusable), "{error}");
        assert_eq!(
            url(&companion),
            format!("/openapi/v3/{PATH}?hash={}", recorded("v1.35.4").hash())
        );
        assert_eq!(companion.route(NEW).unwrap(), "kube-apiserver_b");
    }
}

#[test]
fn a_document_that_is_faulty_in_protobuf_alone_is_left_out_of_both_forms() {
    let authority = Authority::new();
    let (a, b) = peers(&authority, "v1.35.4", "v1.36.3");
    b.change(|behavior| {
        let documents = behavior.open_api.values_mut();
        documents.for_each(|document| document.protobuf = b"\xff\xff".to_vec());
    });
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    let error = "OpenAPI document in protobuf";
    companion.eventually(error, || companion.log().contains(error));
    companion.eventually("the rest is compared", || merges(&companion) == 1);
    assert!(merged(&companion, DocumentForm::Plain).is_none());
    assert_eq!(url(&companion), format!("/openapi/v3/{PATH}?hash={}", recorded("v1.35.4").hash()));
}

#[test]
fn a_merged_document_stays_while_the_only_peer_that_describes_a_type_is_away() {
    let authority = Authority::new();
    let (a, mut b) = peers(&authority, "v1.35.4", "v1.36.3");
    let companion = Companion::start(&authority, &[&a, &b]);
    companion.wait_until_ready();
    companion.eventually("it is merged", || merged(&companion, DocumentForm::Plain).is_some());
    let before = merged(&companion, DocumentForm::Plain);
    b.kill();
    companion.wait_for_route(NEW, "unavailable");
    companion.eventually("what is left was compared", || merges(&companion) == 2);
    assert_eq!(merged(&companion, DocumentForm::Plain).map(|d| d.etag), before.map(|d| d.etag));
    b.restart();
    companion.wait_for_route(NEW, "kube-apiserver_b");
    assert!(merged(&companion, DocumentForm::Plain).is_some());
}
