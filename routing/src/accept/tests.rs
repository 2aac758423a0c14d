//! Negotiation as a table. The expected words are what kube-apiserver 1.36.3 answers; where it
//! refuses, so that it must be asked, the word is `pass`. Where its feature gate has `v2beta1`
//! on, they follow from k8s.io/apiserver v0.36.3.

use discovery_map::{DocumentEncoding, DocumentForm};
use proptest::prelude::*;

use super::{Offer, negotiate, passes_router};

const NEW: Offer = Offer::Aggregated { v2beta1: false };
const OLD: Offer = Offer::Aggregated { v2beta1: true };

/// Writes the media types of discovery out.
fn spelled(accept: &str) -> String {
    let of = |version| format!("g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    accept
        .replace("V2B", &format!("application/json;{}", of("v2beta1")))
        .replace("V2", &format!("application/json;{}", of("v2")))
        .replace("AGG", &of("v2"))
        .replace("PB", "application/vnd.kubernetes.protobuf")
}

fn word(accept: &str, offer: Offer) -> String {
    let Some(negotiated) = negotiate(spelled(accept).as_bytes(), offer, false) else {
        return "pass".to_owned();
    };
    let form = match negotiated.form {
        DocumentForm::Plain => "",
        DocumentForm::AggregatedV2 => "v2 ",
        DocumentForm::AggregatedV2beta1 => "v2beta1 ",
        DocumentForm::Protobuf => unreachable!("it is not discovery"),
    };
    let encoding = match negotiated.encoding {
        DocumentEncoding::Json => "json",
        DocumentEncoding::IndentedJson => "indented",
        DocumentEncoding::Yaml => "yaml",
        DocumentEncoding::Protobuf => "protobuf",
    };
    format!("{form}{encoding}")
}

/// As `word`, where the servers' router is asked first.
fn routed_word(accept: &str, offer: Offer) -> String {
    let passes = passes_router(spelled(accept).as_bytes());
    if passes { word(accept, offer) } else { "pass".to_owned() }
}

#[test]
fn each_header_gets_what_a_server_answers() {
    // `Accept`; what `/apis` is, what `/api` is, and what `/apis/apps/v1` is.
    let table = [
        ("V2,V2B,application/json", "v2 json", "v2 json", "json"),
        ("V2B,application/json", "json", "json", "json"),
        ("application/json, */*", "json", "json", "json"),
        ("*/*", "json", "json", "json"),
        ("application/json", "json", "json", "json"),
        ("", "json", "json", "json"),
        ("V2", "v2 json", "v2 json", "pass"),
        ("V2B", "pass", "pass", "pass"),
        ("PB,application/json", "protobuf", "protobuf", "protobuf"),
        (
            "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io",
            "v2 json",
            "v2 json",
            "pass",
        ),
        (" application/json ; AGG ; q=0.9 ", "v2 json", "v2 json", "pass"),
        ("V2;charset=utf-8;pretty=1", "v2 indented", "v2 indented", "pass"),
        ("V2;pretty=0", "v2 json", "v2 json", "pass"),
        ("V2;v=v2beta1", "pass", "pass", "pass"),
        ("application/json,V2", "v2 json", "v2 json", "json"),
        ("application/json;q=1,V2;q=0.1", "v2 json", "v2 json", "json"),
        ("application/yaml,V2", "v2 json", "v2 json", "yaml"),
        ("V2;q=0", "v2 json", "v2 json", "pass"),
        ("V2;q=0.5,V2B", "v2 json", "v2 json", "pass"),
        ("V2;q=nonsense,V2B;q=0.5", "v2 json", "v2 json", "pass"),
        ("*/*;AGG", "v2 json", "v2 json", "pass"),
        ("*;AGG", "v2 json", "pass", "pass"),
        ("application/*;AGG", "v2 json", "pass", "pass"),
        ("application/yaml;AGG,V2", "v2 yaml", "v2 yaml", "pass"),
        ("PB;AGG,application/json", "v2 protobuf", "v2 protobuf", "json"),
        ("application/yaml;AGG;pretty=1", "v2 yaml", "v2 yaml", "pass"),
        ("V2;profile=other", "v2 json", "v2 json", "pass"),
        (
            "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList",
            "pass",
            "pass",
            "pass",
        ),
        ("application/json;g=apidiscovery.k8s.io;v=v2", "pass", "pass", "pass"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "json", "json", "json"),
        ("V2;sv=v1,application/json", "json", "json", "json"),
        ("V2;stream=other,application/json", "json", "json", "json"),
        ("V2;stream=watch", "v2 json", "v2 json", "pass"),
        ("*/*;stream=watch;AGG", "v2 json", "v2 json", "pass"),
        ("application/yaml;stream=watch,PB", "protobuf", "protobuf", "protobuf"),
        ("application/yaml;stream=watch", "pass", "pass", "pass"),
        ("text/html", "pass", "pass", "pass"),
        ("APPLICATION/JSON", "pass", "pass", "pass"),
        ("application/json/", "json", "pass", "pass"),
        ("application/json/x", "pass", "pass", "pass"),
        ("application", "pass", "pass", "pass"),
        (",,;=,", "pass", "pass", "pass"),
        ("application/yaml", "yaml", "yaml", "yaml"),
        ("PB", "protobuf", "protobuf", "protobuf"),
        ("application/*", "json", "pass", "pass"),
        ("*", "json", "pass", "pass"),
        ("application/yaml;q=0.1,PB;q=0.2", "protobuf", "protobuf", "protobuf"),
        ("application/json;q=0.1,application/yaml;q=0.2", "yaml", "yaml", "yaml"),
        ("application/json;q=0.2,application/yaml;q=0.1", "json", "json", "json"),
        ("application/yaml;q=0.5,*/*", "json", "json", "json"),
        ("*/*,application/yaml;q=0.5", "yaml", "yaml", "yaml"),
        ("application/cbor,application/yaml", "yaml", "yaml", "yaml"),
        ("application/cbor", "pass", "pass", "pass"),
        ("application/json;as=", "json", "json", "json"),
        ("application/json;as==x", "json", "json", "json"),
        ("application/json;pretty=1", "indented", "indented", "indented"),
        ("*/*;pretty=1", "indented", "indented", "indented"),
        ("application/json;pretty=1;q=0.5,application/yaml", "yaml", "yaml", "yaml"),
        ("text/html,application/yaml;q=0.9", "yaml", "yaml", "yaml"),
        ("application/yaml;unknown=1", "yaml", "yaml", "yaml"),
        ("application/json;export=1", "json", "json", "json"),
        ("PB;pretty=1", "protobuf", "protobuf", "protobuf"),
        ("application/json;profile=nopeer", "json", "json", "json"),
        ("application/json;q=2,application/yaml;q=3", "yaml", "yaml", "yaml"),
        ("application/json;q=-1,application/yaml", "yaml", "yaml", "yaml"),
    ];
    for (accept, apis, api, version) in table {
        assert_eq!(word(accept, NEW), apis, "/apis as {accept}");
        assert_eq!(routed_word(accept, NEW), api, "/api as {accept}");
        assert_eq!(routed_word(accept, Offer::Plain), version, "/apis/apps/v1 as {accept}");
    }
}

#[test]
fn v2beta1_is_for_clients_that_do_not_know_v2() {
    let table = [
        ("V2,V2B,application/json", "v2 json"),
        ("V2B,application/json", "v2beta1 json"),
        ("V2B", "v2beta1 json"),
        ("V2B;pretty=1", "v2beta1 indented"),
        ("V2;v=v2beta1", "v2beta1 json"),
        ("V2;q=0.5,V2B", "v2beta1 json"),
        ("V2;q=nonsense,V2B;q=0.5", "v2beta1 json"),
        ("V2;q= 0.9,V2B;q=0.5", "v2beta1 json"),
    ];
    for (accept, expected) in table {
        assert_eq!(word(accept, OLD), expected, "{accept}");
    }
}

#[test]
fn a_request_for_the_servers_own_document_is_passed_on() {
    for accept in ["V2;profile=nopeer,V2,application/json", "application/yaml;AGG;profile=nopeer"] {
        assert_eq!(word(accept, NEW), "pass", "{accept}");
    }
    assert_eq!(word("V2,V2;profile=nopeer", NEW), "v2 json");
}

#[test]
fn a_human_reader_gets_indented_json_and_nothing_else_indented() {
    let encoding = |accept: &str, offer| {
        negotiate(spelled(accept).as_bytes(), offer, true).map(|negotiated| negotiated.encoding)
    };
    for accept in ["", "*/*", "V2", "application/json", "application/json;pretty=0"] {
        assert_eq!(encoding(accept, NEW), Some(DocumentEncoding::IndentedJson), "{accept}");
    }
    assert_eq!(encoding("application/yaml", NEW), Some(DocumentEncoding::Yaml));
    assert_eq!(encoding("PB", Offer::Plain), Some(DocumentEncoding::Protobuf));
    // The index of OpenAPI v3 has one encoding, whatever is asked for.
    for accept in ["", "application/vnd.kubernetes.protobuf", "text/html"] {
        assert_eq!(encoding(accept, Offer::JsonOnly), Some(DocumentEncoding::Json), "{accept}");
    }
}

#[test]
fn many_clauses_take_no_more_time_than_a_few() {
    let accept = "a/b;q=0.1,*/*,".repeat(10_000);
    assert_eq!(word(&accept, NEW), "json");
}

proptest! {
    #[test]
    fn any_bytes_are_negotiated(accept: Vec<u8>, plain: bool, v2beta1: bool, indents: bool) {
        let offer = if plain { Offer::Plain } else { Offer::Aggregated { v2beta1 } };
        let _ = (negotiate(&accept, offer, indents), passes_router(&accept));
    }

    #[test]
    fn anything_like_an_accept_header_is_negotiated(accept in "[a*/;,= qv.0-9]{0,80}") {
        let _ = (negotiate(accept.as_bytes(), NEW, false), passes_router(accept.as_bytes()));
    }
}
