//! `docs/configuration.md` against the reader of the configuration. The fault
//! of an unknown field lists the known ones: so the code itself tells its fields.

use companion::config::{ControlPlanes, MainConfig};
use discovery_map::Fault;
use serde_json::{Value, json};

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// What comes before the fields of one of many control planes, which have a file of their own.
const OWN_FILE: &str = "### The file of a control plane";

/// An entry that is a section, where others are names.
const ENTRY: &str = "ads.allowedClientNames[]";

/// The first two columns of each row of the main file: the field's path and its default.
fn rows() -> Vec<(String, String)> {
    rows_of(DOCUMENT.split(OWN_FILE).next().unwrap())
}

/// The same of each row of a text.
pub(crate) fn rows_of(text: &str) -> Vec<(String, String)> {
    let cells = |line: &str| -> Vec<_> { line.split(" | ").map(str::to_owned).collect() };
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|line| {
        let cells = cells(line);
        assert_eq!(cells.len(), 4, "{line}");
        (cells[0].trim_end_matches('`').to_owned(), cells[1].clone())
    })
    .collect()
}

fn faults(document: &Value) -> Vec<Fault> {
    let faults = MainConfig::from_yaml(&document.to_string()).err();
    faults.iter().flat_map(|faults| faults.iter().cloned()).collect()
}

/// The faults of a file of one of many control planes.
fn faults_of_one(document: &Value) -> Vec<Fault> {
    let main = MainConfig::from_yaml(&long("controlPlanes.directory").to_string()).unwrap();
    let ControlPlanes::Many(directory) = main.control_planes else { panic!("not many") };
    let faults = directory.control_plane(&"a".parse().unwrap(), &document.to_string()).err();
    faults.iter().flat_map(|faults| faults.iter().cloned()).collect()
}

/// Every field below `prefix`, in whose place `nest` puts a value.
fn fields(prefix: &str, nest: &dyn Fn(Value) -> Value) -> Vec<String> {
    let faults = faults(&nest(json!({ "nonsense": 1 })));
    let unknown = faults.iter().find(|fault| fault.place.ends_with("nonsense"));
    let mut all = Vec::new();
    for field in unknown.into_iter().flat_map(known) {
        let path = format!("{prefix}{field}");
        all.extend(fields(&format!("{path}."), &|value| nest(json!({ field: value }))));
        all.extend(fields(&format!("{path}[]."), &|value| nest(json!({ field: [value] }))));
        all.push(path);
    }
    all
}

/// The fields that the fault of an unknown one lists.
pub(crate) fn known(fault: &Fault) -> impl Iterator<Item = &str> {
    fault.problem.split("known fields: ").skip(1).flat_map(|known| known.split(", "))
}

/// Where the value of a field is, in a document with one peer.
fn place(field: &str) -> String {
    field.replace("[]", "[0]")
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace("[]", ".0").replace('.', "/"))
}

/// A document without optional fields, in which the source of the peers is the one of a field.
fn short(field: &str) -> Value {
    let peers = if field.starts_with("peers.dns") {
        json!({ "dns": { "name": "api.example.com", "port": 6443 } })
    } else if field.starts_with("peers.endpointSlices") {
        json!({ "endpointSlices": { "namespace": "a", "service": "b" } })
    } else {
        json!({ "static": [{ "name": "a", "address": "10.0.0.1:6443" }] })
    };
    json!({
        "stateDirectory": "/s",
        "peers": peers,
        "peerTls": { "caFile": "/ca" },
        "credentials": { "tokenFile": "/t" },
        "envoy": { "directory": "/e", "filterModule": "/f" },
    })
}

/// Whether a field is for many control planes only.
fn is_of_many(field: &str) -> bool {
    field.starts_with(ENTRY)
        || ["controlPlanes", "listener"].contains(&field.split('.').next().unwrap())
}

/// A document with the optional sections that have required fields.
fn long(field: &str) -> Value {
    let mut document = short(field);
    if is_of_many(field) {
        document = json!({
            "stateDirectory": "/s",
            "controlPlanes": { "directory": "/control-planes" },
            "listener": { "template": "/listener.yaml" },
            "envoy": { "filterModule": "/f" },
        });
    }
    let pair = json!({ "certificateFile": "/c", "keyFile": "/k" });
    document["ads"] = pair.clone();
    document["ads"]["listen"] = "0.0.0.0:9904".into();
    document["ads"]["clientCaFile"] = "/ca".into();
    document["ads"]["allowedClientNames"] = if field.starts_with(ENTRY) {
        json!([{ "name": "envoy", "controlPlanes": ["a"] }])
    } else {
        json!(["envoy"])
    };
    if !is_of_many(field) {
        document["events"] = json!({});
        document["credentials"] = json!({ "clientCertificate": pair });
        document["listenerTls"] = pair.clone();
        document["frontProxy"] = pair;
        document["ads"]["frontProxySecret"] = "/front-proxy.yaml".into();
    }
    document
}

/// Sets a field and the sections on its way.
fn set(document: &mut Value, field: &str, value: Value) {
    let (place, name) = field.rsplit_once('.').unwrap_or(("", field));
    let section = place.split('.').filter(|part| !part.is_empty()).fold(document, |at, part| {
        if at[part].is_null() {
            at[part] = json!({});
        }
        &mut at[part]
    });
    section[name] = value;
}

#[test]
fn the_table_has_just_the_fields_that_the_code_reads() {
    let mut known = fields("", &|value| value);
    let mut documented: Vec<_> = rows().into_iter().map(|(field, _)| field).collect();
    known.sort();
    documented.sort();
    assert_eq!(documented, known);
}

#[test]
fn the_defaults_in_the_table_are_those_of_the_code() {
    for (field, default) in rows() {
        // These sections have required fields, or are absent by default.
        let is_optional = field.starts_with("ads.") || field.starts_with("events.");
        let base = if is_optional || is_of_many(&field) { long } else { short };
        let configuration = MainConfig::from_yaml(&base(&field).to_string()).unwrap();
        if let Some(default) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            let mut document = base(&field);
            set(&mut document, &field, serde_saphyr::from_str(default).unwrap());
            let set = MainConfig::from_yaml(&document.to_string());
            assert_eq!(set, Ok(configuration), "{field}: {default}");
        } else {
            assert!(
                ["required", "none", "defaults of its fields"].contains(&&*default),
                "{field}: {default}"
            );
        }
    }
}

#[test]
fn just_the_required_fields_of_the_table_are_required() {
    for (field, default) in rows() {
        let mut document = long(&field);
        let (parent, name) = field.rsplit_once('.').unwrap_or(("", &field));
        let parent = if parent.is_empty() { String::new() } else { pointer(parent) };
        if let Some(Value::Object(section)) = document.pointer_mut(&parent) {
            section.remove(name);
        }
        let fault = Fault::new(place(&field), "is required");
        assert_eq!(faults(&document).contains(&fault), default == "required", "{field}");
    }
}

#[test]
fn the_table_of_a_control_planes_file_has_what_only_such_a_file_has() {
    let unknown = faults_of_one(&json!({ "nonsense": 1 }));
    let unknown = unknown.iter().find(|fault| fault.place == "nonsense").unwrap();
    let of_main = rows().into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    let own = known(unknown).filter(|field| !of_main.iter().any(|other| other == field));
    let documented = rows_of(DOCUMENT.split(OWN_FILE).nth(1).unwrap());
    assert!(documented.iter().map(|(field, _)| &**field).eq(own), "{documented:?}");
    for (field, default) in documented {
        let fault = Fault::new(field.clone(), "is required");
        let required = faults_of_one(&json!({})).contains(&fault);
        assert_eq!(required, default == "required", "{field}");
    }
}
