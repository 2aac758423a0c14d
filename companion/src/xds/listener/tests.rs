//! The shipped template, and templates in which chains could reach each other.

use discovery_map::NO_MAP;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::*;
use crate::xds::Module;

const SHIPPED: &str = include_str!("../../../../envoy-config/shared-ingress/listener.yaml");

fn names(all: &[&str]) -> Vec<ServerName> {
    all.iter().map(|name| name.parse().unwrap()).collect()
}

fn without_map(control_plane: &str) -> FilterConfig {
    let control_plane = Some(control_plane.parse().unwrap());
    FilterConfig {
        map: NO_MAP.to_owned(),
        module: Module { file: "/lib/filter.wasm".into(), control_plane },
    }
}

/// Returns what Envoy reads.
fn decoded(message: &str, encoded: &Encoded) -> Value {
    let pool =
        DescriptorPool::decode(include_bytes!("../../../descriptors/envoy.binpb").as_slice());
    let descriptor = pool.unwrap().get_message_by_name(message).unwrap();
    let message = DynamicMessage::decode(descriptor, encoded.body.clone()).unwrap();
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

#[test]
fn each_control_plane_has_a_chain_of_its_own() {
    let template = ListenerTemplate::from_yaml(SHIPPED).unwrap();
    assert_eq!(template.name(), "kubernetes");
    let a = template.chain("a", &names(&["a.example.com", "a.internal"])).unwrap();
    let b = template.chain("b", &names(&["b.example.com"])).unwrap();
    let whole = listener(template.base(), [&a, &b].into_iter());
    let found = decoded("envoy.config.listener.v3.Listener", &whole);
    assert_eq!(found["name"], "kubernetes");
    assert_eq!(found["address"]["socket_address"]["port_value"], 6443);
    let chains = found["filter_chains"].as_array().unwrap();
    assert_eq!(chains.len(), 2);
    assert_eq!(chains[0]["name"], "a");
    let server_names = &chains[0]["filter_chain_match"]["server_names"];
    assert_eq!(*server_names, json!(["a.example.com", "a.internal"]));
    assert_eq!(chains[1]["filters"][0]["name"], "mixed-version-proxy/b/connections");
    let text = chains[1].to_string();
    assert!(text.contains("/etc/mixed-version-proxy/sds/b/listener.yaml"), "{text}");
    assert!(text.contains("\"b/client-ca\""), "{text}");
    assert!(!text.contains("PLACEHOLDER") && !text.contains("${"), "{text}");
    // Envoy reads and keeps the listener as a whole.
    assert!(a.body.len() < 600, "{}", a.body.len());
}

#[test]
fn the_connection_manager_has_the_filter_without_a_map_until_there_is_one() {
    let template = ListenerTemplate::from_yaml(SHIPPED).unwrap();
    let (name, encoded) = template.connections("a", &without_map("a")).unwrap();
    assert_eq!(name, "mixed-version-proxy/a/connections");
    let found = decoded("envoy.config.core.v3.TypedExtensionConfig", &encoded);
    assert_eq!(found["name"], *name);
    let manager = &found["typed_config"];
    assert_eq!(manager["stat_prefix"], "a");
    let filter = &manager["http_filters"][0];
    assert_eq!(filter["name"], "mixed-version-proxy/a");
    let source = &filter["config_discovery"];
    assert_eq!(source["apply_default_config_without_warming"], true);
    let wasm = &source["default_config"]["extension_config"]["typed_config"]["config"];
    assert_eq!(wasm["root_id"], "mixed-version-proxy/a");
    assert_eq!(wasm["configuration"]["value"], NO_MAP);
}

#[test]
fn nothing_of_a_control_plane_names_another() {
    let template = ListenerTemplate::from_yaml(SHIPPED).unwrap();
    let text = |name: &str| {
        let chain = template.chain(name, &names(&[name])).unwrap();
        let (_, connections) = template.connections(name, &without_map(name)).unwrap();
        let chain = decoded("envoy.config.listener.v3.FilterChain", &chain);
        let other = decoded("envoy.config.core.v3.TypedExtensionConfig", &connections);
        format!("{chain}{other}")
    };
    assert!(!text("one-7").contains("two-8"));
    assert_eq!(text("one-7").replace("one-7", "two-8"), text("two-8"));
}

#[test]
fn versions_change_with_the_content_alone() {
    let template = ListenerTemplate::from_yaml(SHIPPED).unwrap();
    let again = ListenerTemplate::from_yaml(SHIPPED).unwrap();
    let chain = template.chain("a", &names(&["a"])).unwrap();
    assert_eq!(chain.version, again.chain("a", &names(&["a"])).unwrap().version);
    assert_ne!(chain.version, again.chain("a", &names(&["b"])).unwrap().version);
    let version = |chains: &[&Encoded]| listener(template.base(), chains.iter().copied()).version;
    assert_eq!(version(&[&chain]), version(&[&chain]));
    assert_ne!(version(&[&chain]), version(&[]));
    let connections = |template: &ListenerTemplate, name: &str| {
        template.connections(name, &without_map(name)).unwrap().1.version
    };
    assert_eq!(connections(&template, "a"), connections(&again, "a"));
}

/// Returns the faults of the shipped template with this change.
fn faults(from: &str, to: &str) -> String {
    assert!(SHIPPED.contains(from), "{from:?} is not in the template");
    match ListenerTemplate::from_yaml(&SHIPPED.replace(from, to)) {
        Ok(_) => String::new(),
        Err(faults) => faults.lines(),
    }
}

#[test]
fn a_template_whose_chains_could_reach_each_other_is_refused() {
    const MANAGER: &str = "filter_chains[0].filters[0].typed_config";
    // What changes, to what; where the fault is, and a part of it.
    for [from, to, place, problem] in [
        [
            "stat_prefix: \"${control_plane}\"",
            "stat_prefix: all",
            "typed_config.stat_prefix",
            "must contain ${control_plane}",
        ],
        [
            "cluster: \"${control_plane}\"",
            "cluster: shared",
            "typed_config.cluster",
            "must be ${control_plane}",
        ],
        [
            "cluster: \"${control_plane}__rotation\"",
            "cluster: \"${control_plane}x\"",
            "typed_config.cluster",
            "or start with ${control_plane}_",
        ],
        [
            "cluster_header: x-mixed-version-proxy-cluster",
            "cluster_header: x-any",
            "cluster_header",
            "must be x-mixed-version-proxy-cluster",
        ],
        [
            "name: \"mixed-version-proxy/${control_plane}\"",
            "name: mixed-version-proxy",
            "http_filters",
            "must have one filter with the name mixed-version-proxy/${control_plane}",
        ],
        [
            "name: \"${control_plane}/client-ca\"",
            "name: client-ca",
            "sds_config",
            "must start with ${control_plane}/",
        ],
        [
            "sds/${control_plane}/listener.yaml",
            "sds/listener.yaml",
            "path_config_source.path",
            "must contain ${control_plane}",
        ],
        [
            "sds/${control_plane}/listener.yaml",
            "sds/x${control_plane}/listener.yaml",
            "path_config_source.path",
            "no letter, digit or hyphen",
        ],
        [
            "internal_only_headers: [x-mixed-version-proxy-cluster, ",
            "internal_only_headers: [",
            "internal_only_headers",
            "no client may name a cluster",
        ],
        [
            "validate_clusters: false",
            "validate_clusters: true",
            "validate_clusters",
            "must be false",
        ],
        [
            "disable_stateless_session_resumption: true",
            "disable_stateless_session_resumption: false",
            "disable_stateless_session_resumption",
            "must be true",
        ],
        [
            "\naddress:",
            "\ndefault_filter_chain: {}\naddress:",
            "default_filter_chain",
            "must not be set",
        ],
        [
            "  - # Bounds",
            "  - filter_chain_match: {}\n    # Bounds",
            "filter_chain_match",
            "the companion sets it",
        ],
        ["stat_prefix", "statPrefix", "statPrefix", "must be written stat_prefix"],
        [
            "generate_request_id: false",
            "generate_request_id: \"${other}\"",
            "generate_request_id",
            "no other placeholder",
        ],
        [
            "\nname: kubernetes\n",
            "\nname: \"${control_plane}\"\n",
            "name",
            "all control planes share it",
        ],
        ["generate_request_id", "generate_request_ids", "document", "generate_request_ids"],
        [
            "tls_inspector.v3.TlsInspector",
            "http_inspector.v3.HttpInspector",
            "listener_filters",
            "TlsInspector",
        ],
        [
            "route_config:",
            "rds: {}\n          route_config:",
            "typed_config.rds",
            "must be route_config",
        ],
    ] {
        let found = faults(from, to);
        let hit = found.lines().any(|line| {
            let at = line.split(": ").next().unwrap_or_default();
            at.ends_with(place) && line.contains(problem)
        });
        assert!(hit, "{to}: {found:?}");
    }
    assert!(faults("stat_prefix: \"${control_plane}\"", "stat_prefix: all").starts_with(MANAGER));
}

#[test]
fn a_template_with_a_key_in_it_is_refused() {
    for inline in ["inline_string: KEY", "inline_bytes: S0VZ", "environment_variable: KEY"] {
        let from = "tls_params:";
        let pair =
            format!("tls_certificates: [{{ private_key: {{ {inline} }} }}]\n          {from}");
        let found = faults(from, &pair);
        assert!(found.contains("private_key") && found.contains("must be filename"), "{found}");
    }
    let elsewhere = "generate_request_id: false\n          password: { inline_string: x }";
    let found = faults("generate_request_id: false", elsewhere);
    assert!(found.contains("password.inline_string: must be filename"), "{found}");
}

#[test]
fn every_fault_is_told_at_once() {
    let found = ListenerTemplate::from_yaml("filter_chains: [{}]").unwrap_err();
    let places: Vec<_> = found.iter().map(|fault| fault.place.as_str()).collect();
    let expected = [
        "name",
        "address",
        "listener_filters",
        "filter_chains[0].transport_socket.typed_config",
        "filter_chains[0].transport_socket.typed_config.disable_stateless_session_resumption",
        "filter_chains[0].transport_socket.typed_config.disable_stateful_session_resumption",
        "filter_chains[0].filters",
    ];
    assert_eq!(places, expected);
    let found = ListenerTemplate::from_yaml("filter_chains: []").unwrap_err().lines();
    assert!(found.contains("filter_chains: must have one filter chain"), "{found}");
    assert!(ListenerTemplate::from_yaml("{").is_err());
    assert!(ListenerTemplate::from_yaml("[]").is_err());
}

#[test]
fn the_version_is_of_the_compact_json_with_its_names_in_order() {
    let text = r#"{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","altStatName":"\"é\\\n/","connectTimeout":"0.25s","lbSubsetConfig":{},"name":"a"}"#;
    let json: Value = serde_json::from_str(text).unwrap();
    let version = fingerprint(text.as_bytes());
    assert_eq!(fingerprint(&serde_json::to_vec(&json).unwrap()), version);
    assert_eq!(Encoded::new(json).unwrap().version, version);
}
