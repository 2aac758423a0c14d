//! The 404s of real servers (1.35.4 and 1.36.3), byte for byte.

use proptest::prelude::*;

use super::Body::{Whole, Withheld};
use super::{MAX_BODY_BYTES, is_type_level};

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const CBOR: &str = "application/cbor";

const TYPE_LEVEL: &[(&str, &[u8])] = &[
    (PLAIN, b"404 page not found\n"),
    (JSON, b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"the server could not find the requested resource\",\"reason\":\"NotFound\",\"details\":{},\"code\":404}\n"),
    (JSON, b"{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n  \"status\": \"Failure\",\n  \"message\": \"the server could not find the requested resource\",\n  \"reason\": \"NotFound\",\n  \"details\": {},\n  \"code\": 404\n}"),
    (YAML, b"apiVersion: v1\ncode: 404\ndetails: {}\nkind: Status\nmessage: the server could not find the requested resource\nmetadata: {}\nreason: NotFound\nstatus: Failure\n"),
    (PROTOBUF, b"k8s\x00\n\x0c\n\x02v1\x12\x06Status\x12\\\n\x06\n\x00\x12\x00\x1a\x00\x12\x07Failure\x1a0the server could not find the requested resource\"\x08NotFound*\n\n\x00\x12\x00\x1a\x00(\x002\x000\x94\x03\x1a\x00\"\x00"),
    // 1.37.2 with the feature gate CBORServingAndStorage; the fields come in any order.
    (CBOR, b"\xd9\xd9\xf7\xa8JapiVersionBv1Hmetadata\xa0FstatusGFailureGmessageX0the server could not find the requested resourceFreasonHNotFoundGdetails\xa0Dcode\x19\x01\x94DkindFStatus"),
];

const OBJECT_LEVEL: &[(&str, &[u8])] = &[
    (CBOR, b"\xd9\xd9\xf7\xa8DkindFStatusJapiVersionBv1Hmetadata\xa0FstatusGFailureGmessageWpods \"absent\" not foundFreasonHNotFoundGdetails\xa2DnameFabsentDkindDpodsDcode\x19\x01\x94"),
    (JSON, b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"pods \\\"absent\\\" not found\",\"reason\":\"NotFound\",\"details\":{\"name\":\"absent\",\"kind\":\"pods\"},\"code\":404}\n"),
    // As long as the type-level one, to the byte.
    (JSON, b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"nodes \\\"a2\\\" not found\",\"reason\":\"NotFound\",\"details\":{\"name\":\"a2\",\"kind\":\"nodes\"},\"code\":404}    \n"),
    (YAML, b"apiVersion: v1\ncode: 404\ndetails:\n  kind: configmaps\n  name: absent\nkind: Status\nmessage: configmaps \"absent\" not found\nmetadata: {}\nreason: NotFound\nstatus: Failure\n"),
    (PROTOBUF, b"k8s\x00\n\x0c\n\x02v1\x12\x06Status\x12Y\n\x06\n\x00\x12\x00\x1a\x00\x12\x07Failure\x1a\x1dconfigmaps \"absent\" not found\"\x08NotFound*\x1a\n\x06absent\x12\x00\x1a\nconfigmaps(\x002\x000\x94\x03\x1a\x00\"\x00"),
];

#[test]
fn type_level_404s_are_known_in_every_encoding() {
    for (content_type, body) in TYPE_LEVEL {
        assert!(is_type_level(content_type.as_bytes(), Whole(body)), "{content_type}");
        assert!(body.len() <= MAX_BODY_BYTES);
    }
}

#[test]
fn object_level_404s_are_left_alone_in_every_encoding() {
    for (content_type, body) in OBJECT_LEVEL {
        assert!(!is_type_level(content_type.as_bytes(), Whole(body)), "{content_type}");
    }
}

#[test]
fn a_404_that_is_not_the_api_servers_own_is_left_alone() {
    let foreign: [(&str, &[u8]); 9] = [
        ("text/html", b"<h1>404</h1>"),
        (PLAIN, b"404 page not found"),
        (PLAIN, b"no such page\n"),
        (JSON, b"{}"),
        (JSON, b"404 page not found\n"),
        (JSON, b"{\"message\":\"the server could not find the requested resource\",\"details\":{\"kind\":\"pods\"}}"),
        (PROTOBUF, b"k8s\x00"),
        (PROTOBUF, b"404 page not found\n"),
        ("", b""),
    ];
    for (content_type, body) in foreign {
        assert!(!is_type_level(content_type.as_bytes(), Whole(body)), "{content_type} {body:?}");
    }
}

#[test]
fn a_head_request_is_judged_by_the_length_that_its_body_would_have() {
    for (content_type, body) in TYPE_LEVEL {
        assert!(is_type_level(content_type.as_bytes(), Withheld(body.len())), "{content_type}");
        assert!(!is_type_level(content_type.as_bytes(), Withheld(body.len() + 1)));
    }
    assert!(!is_type_level(b"text/html", Withheld(19)));
}

proptest! {
    #[test]
    fn any_bytes_of_a_peer_are_judged_without_a_panic(
        content_type in proptest::sample::select(vec![JSON, PLAIN, YAML, PROTOBUF, CBOR]),
        body: Vec<u8>,
        magic: bool,
    ) {
        let body = if magic { [b"k8s\0", body.as_slice()].concat() } else { body };
        let _ = is_type_level(content_type.as_bytes(), Whole(&body));
    }
}
