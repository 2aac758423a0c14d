//! Encodings byte for byte as kube-apiserver 1.36.3 sent them (`golden/`: the same documents by
//! `Accept: application/json`, `application/yaml` and `application/vnd.kubernetes.protobuf`, and
//! by curl), and that every encoding says what the JSON says.

use std::path::Path;

use discovery_map::DocumentEncoding::{IndentedJson, Json, Protobuf, Yaml};
use proptest::prelude::*;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::encode;
use super::protobuf::{ApiResourceList, Envelope, GroupDiscoveryList};
use crate::wire::MAGIC;

/// A document of each kind. The custom resources in `resource-list` have names that mean something
/// else in YAML.
const KINDS: [&str; 6] =
    ["versions", "group-list", "group", "resource-list", "core-resource-list", "aggregated"];

fn golden(kind: &str, extension: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    std::fs::read(folder.join(format!("{kind}.{extension}"))).unwrap()
}

#[test]
fn every_encoding_has_the_bytes_that_a_server_sends() {
    for kind in KINDS {
        let json = golden(kind, "json");
        for (encoding, extension) in
            [(Json, "json"), (IndentedJson, "indented.json"), (Yaml, "yaml"), (Protobuf, "pb")]
        {
            let encoded = encode(&json, encoding).unwrap();
            assert!(encoded == golden(kind, extension), "{kind} in {extension}");
        }
    }
}

#[test]
fn v2beta1_differs_from_v2_in_its_name_only() {
    let v2 = golden("aggregated", "json");
    let v2beta1 = String::from_utf8(v2.clone()).unwrap().replace("k8s.io/v2\"", "k8s.io/v2beta1\"");
    let envelope = |json: &[u8]| {
        let encoded = encode(json, Protobuf).unwrap();
        Envelope::decode(encoded.strip_prefix(MAGIC).unwrap()).unwrap()
    };
    let (v2, v2beta1) = (envelope(&v2), envelope(v2beta1.as_bytes()));
    assert_eq!(v2beta1.type_meta.api_version, "apidiscovery.k8s.io/v2beta1");
    assert_eq!(v2.raw, v2beta1.raw);
}

#[test]
fn what_is_not_a_discovery_document_has_no_protobuf() {
    for json in ["", "[]", "1", "{}", r#"{"kind":"Status"}"#, r#"{"kind":"APIGroup","name":1}"#] {
        assert_eq!(encode(json.as_bytes(), Protobuf), None, "{json}");
    }
    for json in ["", "[]", "1", "{", r#"{"a":[1,]}"#] {
        assert_eq!(encode(json.as_bytes(), Yaml), None, "{json}");
    }
}

#[test]
fn odd_values_are_indented_as_go_does_it() {
    let json = br#"{"a":{},"b":[],"c":[[],{"d":"x\"}\\"}],"e":1.5,"f":null}"#;
    let expected = "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    [],\n    {\n      \
        \"d\": \"x\\\"}\\\\\"\n    }\n  ],\n  \"e\": 1.5,\n  \"f\": null\n}";
    assert_eq!(String::from_utf8(encode(json, IndentedJson).unwrap()).unwrap(), expected);
}

#[test]
fn yaml_has_quotes_where_a_string_could_be_something_else() {
    let table = [
        ("pods", "pods"),
        ("apps/v1", "apps/v1"),
        ("a:b", "a:b"),
        ("e1", "e1"),
        ("0x.example.com", "0x.example.com"),
        ("1.2.3", "1.2.3"),
        ("-x", "-x"),
        ("", "\"\""),
        ("~", "\"~\""),
        ("Yes", "\"Yes\""),
        ("n", "\"n\""),
        ("NULL", "\"NULL\""),
        ("1", "\"1\""),
        ("1.5", "\"1.5\""),
        ("1e3", "\"1e3\""),
        ("+.inf", "\"+.inf\""),
        ("0x1F", "\"0x1F\""),
        ("0b1", "\"0b1\""),
        ("1_000", "\"1_000\""),
        ("1:30", "\"1:30\""),
        ("2001-01-01", "\"2001-01-01\""),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("a:", "'a:'"),
        ("- x", "'- x'"),
        ("*x", "'*x'"),
        ("'x'", "'''x'''"),
        (" x", "' x'"),
        ("x ", "'x '"),
        ("a\nb\u{7}\u{e4}\u{1f600}\"", "\"a\\nb\\x07\\xE4\\U0001F600\\\"\""),
    ];
    for (text, expected) in table {
        let yaml = encode(json!({ "a": text }).to_string().as_bytes(), Yaml).unwrap();
        assert_eq!(String::from_utf8(yaml).unwrap(), format!("a: {expected}\n"));
    }
}

/// Returns the message in a document of protobuf.
fn decoded<M: Message + Default>(document: &[u8]) -> M {
    let envelope = Envelope::decode(document.strip_prefix(MAGIC).unwrap()).unwrap();
    M::decode(envelope.raw.as_slice()).unwrap()
}

fn check_encodings<M: Message + Default + PartialEq + DeserializeOwned>(document: &Value) {
    let json = document.to_string();
    let from_json: M = serde_json::from_str(&json).unwrap();
    assert!(decoded::<M>(&encode(json.as_bytes(), Protobuf).unwrap()) == from_json, "{json}");
    check_text(document);
}

fn check_text(document: &Value) {
    let json = document.to_string();
    let indented = encode(json.as_bytes(), IndentedJson).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&indented).unwrap(), *document);
    let yaml = String::from_utf8(encode(json.as_bytes(), Yaml).unwrap()).unwrap();
    let read: Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    assert_eq!(read, *document, "{yaml}");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9./]{0,6}", "[ -~]{0,6}", "\\PC{0,4}", "(on|No|null|[+-]?[0-9_.:e]{1,5})"]
}

fn texts() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        prop::collection::vec(text(), 0..3).prop_map(|texts| json!(texts)),
    ]
}

fn kind() -> impl Strategy<Value = Value> {
    [text(), text(), text()].prop_map(|[g, v, k]| json!({"group": g, "version": v, "kind": k}))
}

prop_compose! {
    fn resource()(
        [name, singular, group, hash] in [text(), text(), text(), text()],
        namespaced: bool,
        [verbs, short_names, categories] in [texts(), texts(), texts()],
    ) -> Value {
        json!({
            "name": name, "singularName": singular, "namespaced": namespaced, "group": group,
            "verbs": verbs, "shortNames": short_names, "categories": categories,
            "storageVersionHash": hash,
        })
    }
}

prop_compose! {
    fn discovered()(
        [name, scope, sub] in [text(), text(), text()],
        [kind, sub_kind, accepted] in [kind(), kind(), kind()],
        [verbs, sub_verbs] in [texts(), texts()],
    ) -> Value {
        let subresource = json!({"subresource": sub, "responseKind": sub_kind,
            "acceptedTypes": [accepted], "verbs": sub_verbs});
        json!({"resource": name, "responseKind": kind, "scope": scope, "verbs": verbs,
            "subresources": [subresource]})
    }
}

/// Any JSON, for fields that no server of today has.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn encodings_of_a_resource_list_say_what_the_json_says(
        resources in prop::collection::vec(resource(), 0..3),
        group_version in text(),
    ) {
        check_encodings::<ApiResourceList>(&json!({"kind": "APIResourceList",
            "apiVersion": "v1", "groupVersion": group_version, "resources": resources}));
    }

    #[test]
    fn encodings_of_aggregated_discovery_say_what_the_json_says(
        resources in prop::collection::vec(discovered(), 0..3),
        [group, version] in [text(), text()],
    ) {
        let versions = json!([{"version": version, "resources": resources, "freshness": "Current"}]);
        check_encodings::<GroupDiscoveryList>(&json!({"kind": "APIGroupDiscoveryList",
            "metadata": {}, "items": [{"metadata": {"name": group}, "versions": versions}]}));
    }

    #[test]
    fn yaml_and_indented_json_keep_every_field(
        fields in prop::collection::vec((text(), any_json()), 0..4),
    ) {
        check_text(&Value::Object(fields.into_iter().collect::<Map<_, _>>()));
    }

    #[test]
    fn any_bytes_are_encoded_or_refused(json: Vec<u8>) {
        for encoding in discovery_map::DocumentEncoding::ALL {
            let _ = encode(&json, encoding);
        }
    }
}
