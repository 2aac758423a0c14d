//! What a template must be, so that its chains are separate.
//!
//! The rules find mistakes. An operator who wants to connect two control planes can: a Lua filter
//! in the template may do anything.

use discovery_map::{CLUSTER_HEADER, Fault, Faults};
use serde_json::Value;

use super::placeholder::{PLACEHOLDER, is_own, is_own_cluster};
use super::visit::{Field, below, fields, snake_case, texts};
use crate::xds::wasm::FILTER_NAME;

const CHAIN: &str = "filter_chains[0]";
const TLS_INSPECTOR: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const CONNECTIONS: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// Fields of the listener that would let connections pass a chain's server names.
const OTHER_CHAINS: [&str; 3] = ["default_filter_chain", "filter_chain_matcher", "fcds_config"];
/// Fields of the chain that the companion sets.
const SET: [&str; 2] = ["name", "filter_chain_match"];
/// Fields that name something of one control plane.
const NAMES: [&str; 4] = ["stat_prefix", "route_config_name", "root_id", "filename"];
/// Fields that name a cluster.
const CLUSTERS: [&str; 2] = ["cluster", "cluster_name"];
/// Routes that are not in the template, and so not checked.
const OTHER_ROUTES: [&str; 2] = ["rds", "scoped_routes"];
/// What has contents in place of a file's name.
const INLINE: [&str; 3] = ["inline_string", "inline_bytes", "environment_variable"];
/// Fields with secrets, wherever they are.
const PRIVATE: [&str; 4] = ["private_key", "pkcs12", "password", "session_ticket_keys"];

/// Checks a listener.
///
/// # Errors
/// Everything that is wrong.
pub fn check(listener: &Value) -> Result<(), Faults> {
    let mut faults = Vec::new();
    check_placeholders(listener, &mut faults);
    check_listener(listener, &mut faults);
    let chains = listener.get("filter_chains").and_then(Value::as_array);
    match chains.map(Vec::as_slice) {
        Some([chain]) => {
            check_chain(chain, &mut faults);
            fields(CHAIN, chain, &mut |field| check_field(field, &mut faults));
        }
        _ => add(&mut faults, "filter_chains", "must have one filter chain"),
    }
    Faults::from_list(faults)
}

fn add(faults: &mut Vec<Fault>, place: &str, problem: impl Into<String>) {
    faults.push(Fault::new(place, problem));
}

fn check_placeholders(listener: &Value, faults: &mut Vec<Fault>) {
    texts("", listener, &mut |place, text| {
        if text.replace(PLACEHOLDER, "").contains("${") {
            add(
                faults,
                place,
                format!("{text:?} must have no other placeholder than {PLACEHOLDER}"),
            );
        }
        if text.contains(PLACEHOLDER) && !place.starts_with("filter_chains") {
            add(
                faults,
                place,
                format!("must not contain {PLACEHOLDER}: all control planes share it"),
            );
        }
    });
}

fn check_listener(listener: &Value, faults: &mut Vec<Fault>) {
    if listener.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        add(faults, "name", "must be the name of the listener, such as kubernetes");
    }
    if listener.get("address").is_none() {
        add(faults, "address", "must be set");
    }
    for key in OTHER_CHAINS {
        if listener.get(key).is_some() {
            add(faults, key, "must not be set: only a server name may choose a control plane");
        }
    }
    let filters = listener.get("listener_filters").and_then(Value::as_array);
    let inspects = |filter: &Value| is_type(filter.get("typed_config"), TLS_INSPECTOR);
    if !filters.is_some_and(|filters| filters.iter().any(inspects)) {
        add(faults, "listener_filters", format!("must have a filter of the type {TLS_INSPECTOR}"));
    }
}

fn check_chain(chain: &Value, faults: &mut Vec<Fault>) {
    for key in SET {
        if chain.get(key).is_some() {
            add(faults, &below(CHAIN, key), "must not be set: the companion sets it");
        }
    }
    let tls = chain.pointer("/transport_socket/typed_config");
    let place = format!("{CHAIN}.transport_socket.typed_config");
    if !is_type(tls, TLS) {
        add(faults, &place, format!("must have the type {TLS}"));
    }
    for key in ["disable_stateless_session_resumption", "disable_stateful_session_resumption"] {
        if tls.and_then(|tls| tls.get(key)) != Some(&Value::Bool(true)) {
            let why = "must be true: no client certificate is verified on a resumed session";
            add(faults, &below(&place, key), why);
        }
    }
    let filters = chain.get("filters").and_then(Value::as_array).map(Vec::as_slice);
    match filters {
        Some([before @ .., last]) if is_type(last.get("typed_config"), CONNECTIONS) => {
            let place = format!("{CHAIN}.filters[{}].typed_config", before.len());
            let manager = last.get("typed_config").unwrap_or(&Value::Null);
            check_connections(&place, manager, faults);
        }
        _ => {
            let place = format!("{CHAIN}.filters");
            add(faults, &place, format!("must end with a filter of the type {CONNECTIONS}"));
        }
    }
}

fn check_connections(place: &str, manager: &Value, faults: &mut Vec<Fault>) {
    let name = format!("{FILTER_NAME}/{PLACEHOLDER}");
    let filters = manager.get("http_filters").and_then(Value::as_array);
    let ours = filters.into_iter().flatten().filter(|filter| {
        let from_ads = filter.pointer("/config_discovery/config_source/ads").is_some();
        filter.get("name").and_then(Value::as_str) == Some(&name) && from_ads
    });
    if ours.count() != 1 {
        let problem =
            format!("must have one filter with the name {name} and config_discovery by ads");
        add(faults, &below(place, "http_filters"), problem);
    }
    let routes = manager.get("route_config").unwrap_or(&Value::Null);
    let place = below(place, "route_config");
    if !routes.get("name").and_then(Value::as_str).is_some_and(is_own) {
        add(faults, &below(&place, "name"), must_contain());
    }
    if routes.get("validate_clusters") != Some(&Value::Bool(false)) {
        let why = "must be false: clusters come and go after the listener";
        add(faults, &below(&place, "validate_clusters"), why);
    }
    let removed = routes.get("internal_only_headers").and_then(Value::as_array);
    let is_ours = |header: &Value| header.as_str() == Some(CLUSTER_HEADER);
    if !removed.is_some_and(|headers| headers.iter().any(is_ours)) {
        let why = format!("must have {CLUSTER_HEADER}: no client may name a cluster");
        add(faults, &below(&place, "internal_only_headers"), why);
    }
}

fn check_field(field: &Field<'_>, faults: &mut Vec<Fault>) {
    let (place, key) = (&field.place, snake_case(field.key));
    if place.contains(".json_format.") {
        // What is logged or answered names nothing.
        return;
    }
    let mut fault = |problem: String| add(faults, place, problem);
    if key != field.key && is_checked(&key) {
        return fault(format!("must be written {key}"));
    }
    let text = field.value.as_str();
    let key = key.as_str();
    let is_weighted = key == "name" && place.contains("weighted_clusters");
    let is_cluster = is_weighted || CLUSTERS.contains(&key);
    match (key, text) {
        ("cluster_header", Some(name)) if name != CLUSTER_HEADER => {
            fault(format!("{name:?} must be {CLUSTER_HEADER}"));
        }
        (_, Some(name)) if is_cluster && !is_own_cluster(name) => {
            fault(format!("{name:?} must be {PLACEHOLDER}, or start with {PLACEHOLDER}_"));
        }
        (_, Some(name)) if NAMES.contains(&key) && !is_own(name) => {
            fault(format!("{name:?} {}", must_contain()));
        }
        ("path", Some(path)) if place.contains(".transport_socket.") && !is_own(path) => {
            fault(format!("{path:?} {}", must_contain()));
        }
        ("config_discovery", _) => {
            let name = field.beside.get("name").and_then(Value::as_str).unwrap_or_default();
            if !is_own(name) {
                fault(format!("belongs to the filter {name:?}, whose name {}", must_contain()));
            }
        }
        ("sds_config", _) if field.value.get("ads").is_some() => {
            let name = field.beside.get("name").and_then(Value::as_str).unwrap_or_default();
            let own = name.strip_prefix(PLACEHOLDER).is_some_and(|rest| rest.starts_with('/'));
            if !own {
                fault(format!(
                    "belongs to the secret {name:?}, whose name must start with {PLACEHOLDER}/"
                ));
            }
        }
        _ if OTHER_ROUTES.contains(&key) => fault("must be route_config".to_owned()),
        _ if INLINE.contains(&key) && is_private(place) => {
            fault("must be filename: certificates and keys are in files of Envoy".to_owned());
        }
        _ => {}
    }
}

/// Returns whether what is at this place may be a certificate or a key.
fn is_private(place: &str) -> bool {
    place.split('.').any(|part| {
        let key = snake_case(part.split('[').next().unwrap_or_default());
        key == "transport_socket" || PRIVATE.contains(&key.as_str())
    })
}

/// Returns whether there is a rule about fields with this key.
fn is_checked(key: &str) -> bool {
    let others = [
        "cluster_header",
        "config_discovery",
        "sds_config",
        "transport_socket",
        "typed_config",
        "filter_chains",
        "route_config",
        "http_filters",
        "weighted_clusters",
    ];
    let all =
        [&OTHER_CHAINS[..], &SET, &NAMES, &CLUSTERS, &OTHER_ROUTES, &INLINE, &PRIVATE, &others];
    all.iter().any(|keys| keys.contains(&key))
}

fn must_contain() -> String {
    format!(
        "must contain {PLACEHOLDER}, with no letter, digit or hyphen directly before or after it"
    )
}

fn is_type(config: Option<&Value>, name: &str) -> bool {
    let url = config.and_then(|config| config.get("@type")).and_then(Value::as_str);
    url.and_then(|url| url.rsplit('/').next()) == Some(name)
}
