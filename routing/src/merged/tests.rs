//! Which document is asked for how, and what the client then gets.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use discovery_map::{
    Content, DiscoveryMap, DocumentEncoding, DocumentForm, Documents, Library, MapDocument,
    MergedDocument, Packed,
};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{AccessCheck, ReadOptions, access_check, can_be_extended, extended, is_known};
use crate::path::RequestPath;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const OPENAPI: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn packed(plain: &[u8]) -> Packed {
    Packed { position: 3, size: plain.len(), gzip: STANDARD.encode(gzip(plain)) }
}

fn document(path: &str, form: DocumentForm, plain: &[u8]) -> MergedDocument {
    let is_aggregated = form != DocumentForm::Plain;
    MergedDocument {
        path: path.into(),
        form,
        etag: is_aggregated.then(|| "MERGED".into()),
        set: 1,
        peer_etag: matches!(path, "/api" | "/apis").then(|| "PEER".into()),
        size: u32::try_from(plain.len()).unwrap(),
        gzip: packed(plain).gzip,
    }
}

fn map(documents: Vec<MergedDocument>) -> DiscoveryMap {
    let golden: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    DiscoveryMap::try_from(MapDocument { documents, ..golden }).unwrap()
}

fn everything() -> DiscoveryMap {
    let plain = ["/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v3"];
    let mut documents: Vec<_> =
        plain.iter().map(|path| document(path, DocumentForm::Plain, b"{}")).collect();
    documents.push(document("/apis", DocumentForm::AggregatedV2, b"{2}"));
    documents.push(document("/apis", DocumentForm::AggregatedV2beta1, b"{1}"));
    for form in [DocumentForm::Plain, DocumentForm::Protobuf] {
        let document = document("/openapi/v3/apis/g/v1", form, b"{3}");
        let (etag, peer_etag) = (Some("MERGED".into()), Some("PEER".into()));
        documents.push(MergedDocument { etag, peer_etag, ..document });
    }
    map(documents)
}

fn asked<'m>(map: &'m DiscoveryMap, path: &str, accept: &str) -> Option<AccessCheck<'m>> {
    asked_by("kubectl/v1.36.3", map, path, accept)
}

fn asked_by<'m>(
    user_agent: &str,
    map: &'m DiscoveryMap,
    path: &str,
    accept: &str,
) -> Option<AccessCheck<'m>> {
    let path = RequestPath::new(path.as_bytes());
    access_check(&path, &path.target(), (accept.as_bytes(), user_agent.as_bytes()), map)
}

#[test]
fn an_open_api_document_is_checked_without_the_clients_hash_and_others_at_the_clients_path() {
    let map = everything();
    let check = asked(&map, "/openapi/v3/api%73/g/v1?hash=A&x", OPENAPI).unwrap();
    assert_eq!(check.path(), Some("/openapi/v3/apis/g/v1"));
    assert_eq!(check.if_none_match().as_deref(), Some("\"PEER\""));
    assert_eq!(check.accept, "application/json");
    assert_eq!(asked(&map, "/apis?timeout=1s", V2).unwrap().path(), None);
    assert_eq!(asked(&map, "/openapi/v3?x", "").unwrap().path(), None);
}

#[test]
fn each_path_is_checked_in_the_form_that_the_client_wants() {
    let map = everything();
    let table = [
        ("/apis", V2, Some(DocumentForm::AggregatedV2)),
        ("/apis/?timeout=32s", V2, Some(DocumentForm::AggregatedV2)),
        ("/%61pis", V2, Some(DocumentForm::AggregatedV2)),
        ("/apis", V2BETA1, Some(DocumentForm::AggregatedV2beta1)),
        ("/apis", "*/*", Some(DocumentForm::Plain)),
        ("/apis", "application/yaml", Some(DocumentForm::Plain)),
        ("/apis", "application/*", Some(DocumentForm::Plain)),
        ("/apis", "text/html", None),
        // The peers have the same one.
        ("/api", V2, None),
        ("/api", "", None),
        ("/apis/batch", "", None),
        ("/api/v1", "", Some(DocumentForm::Plain)),
        ("/api/v1/", "application/json", Some(DocumentForm::Plain)),
        ("/apis/apps", "application/json", Some(DocumentForm::Plain)),
        ("/apis/apps/v1", "application/json", Some(DocumentForm::Plain)),
        ("/apis/apps/v1", V2, None),
        ("/apis/apps/v1", PROTOBUF, Some(DocumentForm::Plain)),
        // A server refuses these by itself.
        ("/apis/apps/v1", "application/*", None),
        ("/apis/apps/v1", "text/html", None),
        ("/openapi/v3", PROTOBUF, Some(DocumentForm::Plain)),
        ("/openapi/v3/apis/g/v1", "", Some(DocumentForm::Plain)),
        ("/openapi/v3/apis/g/v1?hash=A", "*/*", Some(DocumentForm::Plain)),
        ("/openapi/v3/api%73/g/v1", OPENAPI, Some(DocumentForm::Protobuf)),
        ("/openapi/v3/apis/g/v1", "application/yaml", None),
        // Unknown to a server.
        ("/openapi/v3/apis/g/v1/", "", None),
        ("/openapi/v3/apis/g/v2", "", None),
        // Not a document of discovery.
        ("/openapi/v2", "", None),
        ("/apis/apps/v1/deployments", "", None),
        ("/healthz", "", None),
        ("/api/%zz", "", None),
    ];
    for (path, accept, form) in table {
        let found = asked(&map, path, accept).map(|check| check.document.form);
        assert_eq!(found, form, "{path} {accept}");
    }
}

#[test]
fn humans_get_indented_json() {
    let map = everything();
    let table = [
        ("curl/8.14", "/apis", "*/*", DocumentEncoding::IndentedJson),
        ("curl/8.14", "/apis/apps/v1?pretty=0", "*/*", DocumentEncoding::Json),
        ("curl/8.14", "/apis", "application/yaml", DocumentEncoding::Yaml),
        ("curl/8.14", "/openapi/v3", "", DocumentEncoding::Json),
        ("kubectl/v1.36.3", "/apis", V2, DocumentEncoding::Json),
        ("kubectl/v1.36.3", "/apis?pretty=true", V2, DocumentEncoding::IndentedJson),
        ("kubectl/v1.36.3", "/apis/apps", PROTOBUF, DocumentEncoding::Protobuf),
    ];
    for (user_agent, path, accept, encoding) in table {
        let check = asked_by(user_agent, &map, path, accept).unwrap();
        assert_eq!(check.encoding, encoding, "{user_agent} {path} {accept}");
    }
}

#[test]
fn the_access_check_asks_for_the_servers_own_document_of_that_kind() {
    let map = everything();
    for accept in [V2, V2BETA1] {
        let check = asked(&map, "/apis", accept).unwrap();
        assert!(check.accept.starts_with("application/json;g=apidiscovery.k8s.io;v=v2;"));
        assert_eq!(check.if_none_match().as_deref(), Some("\"PEER\""));
    }
    let check = asked(&map, "/apis", "application/json").unwrap();
    assert_eq!(check.accept, "application/json");
    let check = asked(&map, "/apis/apps/v1", "").unwrap();
    assert_eq!((check.accept, check.if_none_match()), ("application/json", None));
}

#[test]
fn an_extended_document_has_an_etag_of_both() {
    let merged = document("/apis", DocumentForm::AggregatedV2, b"{}");
    assert!(is_known(&merged, b"\"PEER\"") && !is_known(&merged, b"\"NEW\""));
    let content = Content::from(b"{\"items\":[]}".to_vec());
    let own = (Some(&b"\"NEW\""[..]), &b"{\"items\":[{\"metadata\":{\"name\":\"g\"}}]}"[..]);
    let (document, content) = extended(&merged, &content, own).unwrap();
    assert_eq!(document.etag.as_deref(), Some("MERGED.NEW"));
    assert_eq!(content.plain(), own.1);
    assert_eq!(extended(&document, &content, own), None);
    for etag in [None, Some(&b"W/\"NEW\""[..]), Some(b"\xff"), Some(b"NEW")] {
        let content = Content::from(b"{\"items\":[]}".to_vec());
        let (document, _) = extended(&merged, &content, (etag, own.1)).unwrap();
        assert_eq!(document.etag, None, "{etag:?}");
    }
}

#[test]
fn a_document_below_open_api_v3_is_not_extended() {
    let kinds = [("/openapi/v3/apis/g/v1", false), ("/openapi/v3", true), ("/apis", true)];
    for (path, expected) in kinds {
        assert_eq!(
            can_be_extended(&document(path, DocumentForm::Plain, b"{}")),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_map_without_documents_needs_no_access_check() {
    assert_eq!(asked(&map(Vec::new()), "/apis", V2), None);
}

#[test]
fn without_v2beta1_the_next_form_is_taken() {
    let v2 = document("/apis", DocumentForm::AggregatedV2, b"{}");
    let plain = document("/apis", DocumentForm::Plain, b"{}");
    let map = map(vec![v2, plain]);
    assert_eq!(asked(&map, "/apis", V2BETA1), None);
    let both = format!("{V2BETA1},application/json");
    assert_eq!(asked(&map, "/apis", &both).unwrap().document.form, DocumentForm::Plain);
}

/// Status, headers as text, body.
fn answer(
    map: &DiscoveryMap,
    path: &str,
    accept: &str,
    options: &ReadOptions<'_>,
    content: &Content,
) -> (u16, String, Vec<u8>) {
    let peer = [
        (&b":status"[..], &b"304"[..]),
        (b"audit-id", b"1"),
        (b"cache-control", b"public"),
        (b"etag", b"\"PEER\""),
        (b"vary", b"Accept"),
        (b"content-type", b"application/json"),
        (b"content-length", b"7"),
        (b"x-kubernetes-pf-flowschema-uid", b"\xff"),
    ];
    let check = asked(map, path, accept).unwrap();
    let options = ReadOptions { encoding: check.encoding, ..*options };
    let answer = options.answer(check.document, content, peer.into_iter()).unwrap();
    let line = |(name, value): &(&[u8], std::borrow::Cow<'_, [u8]>)| {
        format!("{}: {}\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    };
    (answer.code, answer.headers.iter().map(line).collect(), answer.body.to_vec())
}

fn content(plain: &[u8]) -> Documents {
    Documents::read(vec![packed(plain)], &Library::default()).unwrap()
}

#[test]
fn the_merged_document_comes_with_the_headers_that_a_server_sends() {
    let map = everything();
    let documents = content(b"{}");
    let content = documents.get(0).unwrap();
    let options = ReadOptions::new(Some(b"\"OTHER\""), b"gzip", DocumentEncoding::Json);
    let kept = "audit-id: 1\nx-kubernetes-pf-flowschema-uid: \u{fffd}\n";
    assert_eq!(
        answer(&map, "/apis", V2, &options, content),
        (
            200,
            format!(
                "{kept}cache-control: public\nvary: Accept\ncontent-type: {V2}\netag: \"MERGED\"\n"
            ),
            b"{}".to_vec(),
        ),
    );
    assert_eq!(
        answer(&map, "/apis/apps", "", &options, content),
        (
            200,
            format!("{kept}cache-control: no-cache, private\ncontent-type: application/json\n"),
            b"{}".to_vec(),
        ),
    );
    let (_, headers, _) = answer(&map, "/openapi/v3", "", &options, content);
    assert!(headers.contains("content-type: text/plain; charset=utf-8\n"));
    let (_, headers, _) = answer(&map, "/apis", V2BETA1, &options, content);
    assert!(headers.contains(&format!("content-type: {V2BETA1}\n")));
}

#[test]
fn every_encoding_comes_with_its_media_type_and_the_same_etag() {
    let map = everything();
    let json =
        br#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[]}"#;
    let documents = content(json);
    let content = documents.get(0).unwrap();
    let aggregated = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let yaml = "apiVersion: apidiscovery.k8s.io/v2\nitems: []\nkind: APIGroupDiscoveryList\n";
    for (media_type, begin) in [("application/yaml", yaml), (PROTOBUF, "k8s\0")] {
        let options = ReadOptions::new(None, b"", DocumentEncoding::Json);
        let accept = format!("{media_type}{aggregated}");
        let (code, headers, body) = answer(&map, "/apis", &accept, &options, content);
        assert!(code == 200 && body.starts_with(begin.as_bytes()), "{media_type}");
        assert!(headers.contains(&format!("content-type: {accept}\netag: \"MERGED\"\n")));
        let (_, headers, _) = answer(&map, "/apis/apps", media_type, &options, content);
        assert!(headers.contains(&format!("content-type: {media_type}\n")), "{headers}");

        let options = ReadOptions::new(Some(b"\"MERGED\""), b"", DocumentEncoding::Json);
        assert_eq!(answer(&map, "/apis", &accept, &options, content).0, 304);
    }
}

#[test]
fn a_document_that_cannot_be_encoded_is_not_sent() {
    let map = everything();
    let documents = content(b"[]");
    let check = asked(&map, "/apis/apps", PROTOBUF).unwrap();
    let options = ReadOptions::new(None, b"", check.encoding);
    let peer = std::iter::empty();
    assert_eq!(options.answer(check.document, documents.get(0).unwrap(), peer), None);
}

#[test]
fn a_client_that_has_the_merged_document_gets_304() {
    let map = everything();
    let documents = content(b"{}");
    let content = documents.get(0).unwrap();
    let options = ReadOptions::new(Some(b"\"MERGED\""), b"", DocumentEncoding::Json);
    let (code, headers, body) = answer(&map, "/apis", V2, &options, content);
    assert_eq!((code, body), (304, Vec::new()));
    assert!(headers.contains("etag: \"MERGED\"\n") && !headers.contains("content-type"));

    // The server compares the whole value; and a plain document has no ETag.
    for other in ["MERGED", "W/\"MERGED\"", "*", "\"MERGED\", \"X\"", "\"PEER\"", ""] {
        let options = ReadOptions::new(Some(other.as_bytes()), b"", DocumentEncoding::Json);
        assert_eq!(answer(&map, "/apis", V2, &options, content).0, 200, "{other}");
        assert_eq!(answer(&map, "/apis", "", &options, content).0, 200, "{other}");
    }
}

#[test]
fn only_large_documents_are_compressed_for_clients_that_accept_gzip() {
    let map = everything();
    let (large, small) = (vec![b' '; 128 * 1024 + 1], vec![b' '; 128 * 1024]);
    let documents =
        Documents::read(vec![packed(&large), packed(&small)], &Library::default()).unwrap();
    for (accept_encoding, takes) in [
        ("gzip", true),
        ("deflate, gzip ,br", true),
        ("", false),
        ("gzip;q=1", false),
        ("identity", false),
        ("x-gzip", false),
    ] {
        let options = ReadOptions::new(None, accept_encoding.as_bytes(), DocumentEncoding::Json);
        let (code, headers, body) = answer(&map, "/apis", V2, &options, documents.get(0).unwrap());
        assert_eq!(code, 200);
        let expected = if takes { gzip(&large) } else { large.clone() };
        assert!(body == expected, "{accept_encoding}");
        assert_eq!(headers.contains("content-encoding: gzip\nvary: Accept-Encoding\n"), takes);
        assert!(headers.contains("vary: Accept\n"));
        let (_, headers, body) = answer(&map, "/apis", V2, &options, documents.get(1).unwrap());
        assert!(body == small && !headers.contains("gzip"), "{accept_encoding}");
    }
}
