//! The module as Envoy runs it, and the inputs of the matchers around it.

use std::path::Path;

use routing::interest;
use serde_json::{Value, json};

use super::message::type_url;
use crate::config::module_at_servers;

/// The name of the filter, of its VM and of its root, and the name under which the listener asks
/// for it.
pub const FILTER_NAME: &str = "mixed-version-proxy";

/// Returns the module as it runs in the listener, with this map.
pub(super) fn in_the_listener(module: &Path, map: &str) -> Value {
    wasm(FILTER_NAME, module, map)
}

/// Returns the module as it runs at the clusters, from the file beside it.
pub(super) fn at_servers(module: &Path) -> Value {
    wasm(&format!("{FILTER_NAME}-at-server"), &module_at_servers(module), "")
}

/// Returns a module. Both have the same VM identifier, under which they share the evidence.
fn wasm(name: &str, module: &Path, configuration: &str) -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.wasm.v3.Wasm"),
        "config": {
            "name": name,
            "root_id": name,
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "vm_config": {
                "vm_id": FILTER_NAME,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
            "configuration": {
                "@type": type_url("google.protobuf.StringValue"),
                "value": configuration,
            },
        },
    })
}

/// Returns the input of a matcher that is the status of the response.
pub(super) fn response_status() -> Value {
    response_header(":status")
}

/// Returns the input of a matcher that is a header of the response, its values joined by commas.
pub(super) fn response_header(name: &str) -> Value {
    json!({
        "name": name.trim_start_matches(':'),
        "typed_config": {
            "@type": type_url("envoy.type.matcher.v3.HttpResponseHeaderMatchInput"),
            "header_name": name,
        },
    })
}

/// Returns the input of a matcher that is the filter's interest in the response.
pub(super) fn interest_state() -> Value {
    state("watch", interest::STATE)
}

/// Returns the input of a matcher that is the list of servers that denied the request.
pub(super) fn denied_state() -> Value {
    state("denied", interest::DENIED)
}

/// Envoy prefixes what a module stores with a stream.
fn state(name: &str, key: &str) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": type_url("envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"),
            "key": format!("wasm.{key}"),
        },
    })
}

/// Returns the predicate that compares an input with `value`: `how` is `exact`, `prefix` or
/// `contains`.
pub(super) fn matches(input: &Value, how: &str, value: &str) -> Value {
    json!({ "single_predicate": { "input": input, "value_match": { how: value } } })
}
