//! What a client reads in the filter's own answers.

use prost::Message;

use super::{Encoding, RETRY_AFTER_SECONDS, Refusal, wire};

#[test]
fn a_json_status_is_what_client_go_reads_as_unavailable() {
    let body = Refusal::NoPeer.body(Encoding::Json);
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["apiVersion"], "v1");
    assert_eq!(status["status"], "Failure");
    assert_eq!(status["reason"], "ServiceUnavailable");
    assert_eq!(status["code"], 503);
    assert_eq!(status["details"]["retryAfterSeconds"], RETRY_AFTER_SECONDS);
    assert_eq!(body.last(), Some(&b'\n'));
}

#[test]
fn a_protobuf_status_says_the_same() {
    for refusal in [Refusal::NoPeer, Refusal::Unproved, Refusal::NoMap, Refusal::ProxyFailed] {
        let body = refusal.body(Encoding::Protobuf);
        let unknown = wire::Unknown::decode(body.strip_prefix(wire::MAGIC).unwrap()).unwrap();
        let type_meta = unknown.type_meta.unwrap();
        assert_eq!((type_meta.api_version.as_str(), type_meta.kind.as_str()), ("v1", "Status"));
        let status = wire::Status::decode(unknown.raw.as_slice()).unwrap();
        assert_eq!((status.reason.as_str(), status.code), ("ServiceUnavailable", 503));
        assert_eq!(status.message, refusal.message());
        assert_eq!(status.details.unwrap().retry_after_seconds, 1);
    }
}

#[test]
fn a_certificate_that_cannot_be_carried_on_is_an_unauthorized_without_a_retry() {
    let refusal = Refusal::Unauthorized("no common name");
    assert_eq!((refusal.code(), refusal.retry_after_seconds()), (401, None));
    let status: serde_json::Value = serde_json::from_slice(&refusal.body(Encoding::Json)).unwrap();
    assert_eq!(status["reason"], "Unauthorized");
    assert_eq!(status["message"], "no common name");
    assert_eq!((&status["code"], status.get("details")), (&401.into(), None));
    let body = refusal.body(Encoding::Protobuf);
    let unknown = wire::Unknown::decode(body.strip_prefix(wire::MAGIC).unwrap()).unwrap();
    let status = wire::Status::decode(unknown.raw.as_slice()).unwrap();
    assert_eq!((status.reason.as_str(), status.code), ("Unauthorized", 401));
    assert_eq!((status.message.as_str(), status.details), ("no common name", None));
}

#[test]
fn the_encoding_is_what_the_client_prefers() {
    let protobuf = "application/vnd.kubernetes.protobuf";
    for accept in [protobuf, &format!("{protobuf},application/json"), &format!(" {protobuf};q=1")] {
        assert_eq!(Encoding::from_accept(accept.as_bytes()), Encoding::Protobuf, "{accept}");
    }
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    for accept in ["", "*/*", "application/yaml", table, &format!("application/json,{protobuf}")] {
        assert_eq!(Encoding::from_accept(accept.as_bytes()), Encoding::Json, "{accept}");
    }
    assert_eq!(Encoding::from_accept(b"\xff\xfe"), Encoding::Json);
}
