//! The table of `docs/operations/mirror.md` against the reader of the configuration.

use companion::config::MirrorConfig;
use discovery_map::Fault;
use serde_json::{Value, json};

use super::configuration::{known, rows_of};

const DOCUMENT: &str = include_str!("../../../docs/operations/mirror.md");

/// The field's path and its default, of each row.
fn rows() -> Vec<(String, String)> {
    let section = DOCUMENT.split("## Configuration").nth(1).unwrap();
    rows_of(section.split("\n## ").next().unwrap())
}

fn faults(document: &Value) -> Vec<Fault> {
    let faults = MirrorConfig::from_yaml(&document.to_string()).err();
    faults.iter().flat_map(|faults| faults.iter().cloned()).collect()
}

fn document() -> Value {
    json!({
        "stateDirectory": "/s",
        "node": "a",
        "companions": {
            "addresses": ["a:1"],
            "caFile": "/ca",
            "certificateFile": "/c",
            "keyFile": "/k",
        },
    })
}

#[test]
fn the_table_has_just_the_fields_that_the_code_reads() {
    let mut all = Vec::new();
    for (prefix, nested) in [
        ("", json!({ "nonsense": 1 })),
        ("companions.", json!({ "companions": { "nonsense": 1 } })),
    ] {
        let fault = faults(&nested).into_iter().find(|fault| fault.place.ends_with("nonsense"));
        let fields: Vec<_> = known(fault.as_ref().unwrap()).collect();
        assert!(!fields.is_empty(), "{fault:?}");
        all.extend(fields.iter().map(|field| format!("{prefix}{field}")));
    }
    let mut documented: Vec<_> = rows().into_iter().map(|(field, _)| field).collect();
    all.sort();
    documented.sort();
    assert_eq!(documented, all);
}

#[test]
fn the_table_has_the_defaults_and_what_is_required() {
    let config = MirrorConfig::from_yaml(&document().to_string()).unwrap();
    for (field, default) in rows() {
        let mut document = document();
        let (section, name) = match field.split_once('.') {
            Some((section, name)) => (&mut document[section], name),
            None => (&mut document, &*field),
        };
        match default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            Some(default) => section[name] = default.into(),
            None => drop(section.as_object_mut().unwrap().remove(name)),
        }
        let missing = Fault::new(&*field, "is required");
        assert_eq!(faults(&document).contains(&missing), default == "required", "{field}");
        if default != "required" {
            assert_eq!(MirrorConfig::from_yaml(&document.to_string()), Ok(config.clone()));
        }
    }
}

#[test]
fn the_shipped_configuration_is_valid() {
    let text = include_str!("../../../envoy-config/fleet/mirror.yaml");
    assert!(MirrorConfig::from_yaml(text).is_ok());
}
