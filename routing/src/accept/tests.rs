//! Negotiation as a table. The expected forms are what k8s.io/apiserver v0.36.3
//! answers, with `v2beta1` as its feature gate has it on or off.

use discovery_map::DocumentForm;
use proptest::prelude::*;

use super::{Offer, json_form};

const NEW: Offer = Offer::Aggregated { v2beta1: false };
const OLD: Offer = Offer::Aggregated { v2beta1: true };

/// Writes the media types of aggregated discovery out.
fn spelled(accept: &str) -> String {
    let of = |version| format!("g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    accept
        .replace("V2B", &format!("application/json;{}", of("v2beta1")))
        .replace("V2", &format!("application/json;{}", of("v2")))
        .replace("AGG", &of("v2"))
}

fn word(accept: &str, offer: Offer) -> &'static str {
    match json_form(spelled(accept).as_bytes(), offer) {
        Some(DocumentForm::Plain) => "plain",
        Some(DocumentForm::AggregatedV2) => "v2",
        Some(DocumentForm::AggregatedV2beta1) => "v2beta1",
        None => "pass",
    }
}

#[test]
fn roots_are_aggregated_for_clients_that_ask() {
    let table = [
        // What clients send: kubectl and client-go of 1.30 and newer, 1.26 to
        // 1.29, older ones, curl, Python.
        ("V2,V2B,application/json", "v2", "v2"),
        ("V2B,application/json", "plain", "v2beta1"),
        ("application/json, */*", "plain", "plain"),
        ("*/*", "plain", "plain"),
        ("application/json", "plain", "plain"),
        ("", "plain", "plain"),
        ("V2", "v2", "v2"),
        ("V2B", "pass", "v2beta1"),
        ("application/vnd.kubernetes.protobuf,application/json", "pass", "pass"),
        // The order of parameters, spaces and other parameters do not matter.
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", "v2", "v2"),
        (" application/json ; AGG ; q=0.9 ", "v2", "v2"),
        ("V2;charset=utf-8;pretty=1", "v2", "v2"),
        ("V2;v=v2beta1", "pass", "v2beta1"),
        // Wherever it stands, the aggregated form comes before the plain one.
        ("application/json,V2", "v2", "v2"),
        ("application/json;q=1,V2;q=0.1", "v2", "v2"),
        ("application/yaml,V2", "v2", "v2"),
        ("V2;q=0", "v2", "v2"),
        ("V2;q=0.5,V2B", "v2", "v2beta1"),
        ("V2;q=nonsense,V2B;q=0.5", "v2", "v2beta1"),
        ("V2;q= 0.9,V2B;q=0.5", "v2", "v2beta1"),
        ("*/*;AGG", "v2", "v2"),
        ("*;AGG", "v2", "v2"),
        ("application/*;AGG", "v2", "v2"),
        // Other encodings of it, and one server's own.
        ("application/yaml;AGG,V2", "pass", "pass"),
        ("application/vnd.kubernetes.protobuf;AGG,application/json", "pass", "pass"),
        ("V2;profile=nopeer,V2,application/json", "pass", "pass"),
        ("V2,V2;profile=nopeer", "v2", "v2"),
        ("V2;profile=other", "v2", "v2"),
        // Nothing that there is.
        ("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList", "pass", "pass"),
        ("application/json;g=apidiscovery.k8s.io;v=v2", "pass", "pass"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "plain", "plain"),
        ("V2;sv=v1,application/json", "plain", "plain"),
        ("V2;stream=other,application/json", "plain", "plain"),
        ("V2;stream=watch", "v2", "v2"),
        ("text/html", "pass", "pass"),
        ("APPLICATION/JSON", "pass", "pass"),
        ("application/json/", "plain", "plain"),
        ("application/json/x", "pass", "pass"),
        ("application", "pass", "pass"),
        (",,;=,", "pass", "pass"),
    ];
    for (accept, new, old) in table {
        assert_eq!(word(accept, NEW), new, "{accept}");
        assert_eq!(word(accept, OLD), old, "{accept} where v2beta1 is offered");
    }
}

#[test]
fn other_documents_have_one_form() {
    let table = [
        ("", "plain"),
        ("*/*", "plain"),
        ("application/*", "plain"),
        ("application/json", "plain"),
        ("application/yaml", "pass"),
        ("application/vnd.kubernetes.protobuf,*/*", "pass"),
        ("application/json;q=0.1,application/yaml;q=0.2", "pass"),
        ("application/json;q=0.2,application/yaml;q=0.1", "plain"),
        // A wildcard of higher quality comes first, and means JSON.
        ("application/yaml;q=0.5,*/*", "plain"),
        // Unless it comes first: then the order, which is not a real one, is reversed.
        ("*/*,application/yaml;q=0.5", "pass"),
        ("V2", "pass"),
        ("V2,V2B,application/json", "plain"),
        ("application/json;as=", "plain"),
        ("application/json;as==x", "plain"),
    ];
    for (accept, expected) in table {
        assert_eq!(word(accept, Offer::Plain), expected, "{accept}");
    }
    for accept in ["", "application/vnd.kubernetes.protobuf", "text/html"] {
        assert_eq!(word(accept, Offer::JsonOnly), "plain", "{accept}");
    }
}

#[test]
fn many_clauses_take_no_more_time_than_a_few() {
    let accept = "a/b;q=0.1,*/*,".repeat(10_000);
    assert_eq!(word(&accept, NEW), "plain");
}

proptest! {
    #[test]
    fn any_bytes_are_negotiated(accept: Vec<u8>, plain: bool, v2beta1: bool) {
        let offer = if plain { Offer::Plain } else { Offer::Aggregated { v2beta1 } };
        let _ = json_form(&accept, offer);
    }

    #[test]
    fn anything_like_an_accept_header_is_negotiated(accept in "[a*/;,= qv.0-9]{0,80}") {
        let _ = json_form(accept.as_bytes(), NEW);
    }
}
