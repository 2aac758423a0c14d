//! The filters of a cluster: they see each attempt at a server, and what it says.
//!
//! ```text
//!  router ─▶ [go on in the rotation: sets only] ─▶ [module] ─▶ codec ─▶ server
//!         ◀──────────────── judges 404s, removes marks ◀──────────────
//! ```

use discovery_map::{CLUSTER_HEADER, DOUBT_HEADER, DOUBT_MARK};
use routing::interest;
use serde_json::{Value, json};

use super::message::type_url;
use super::wasm::{
    Module, denied_state, interest_state, matches, response_header, response_status,
};

/// Returns the filters of a cluster. `after_denial` is as in [`Cluster`](super::Cluster).
pub fn upstream_filters(after_denial: Option<&str>, module: &Module) -> Value {
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
        },
    });
    let go_on = after_denial.map(goes_on_in);
    Value::Array(go_on.into_iter().chain([judge(module), codec]).collect())
}

/// Returns the filter at the server, which is entered for the 404s that can be wrong. It is not a
/// composite filter, which is created with such a response: Envoy enters a module for a response
/// only if its filter was created with the request. It has no callback for requests.
///
/// It is also entered to remove a mark that a server sent, so that no server can ask for a retry. A
/// filter of Envoy's own for this would cost every request more than a microsecond (ADR 0017).
fn judge(module: &Module) -> Value {
    let doubtful = json!({ "and_matcher": { "predicate": [
        matches(&response_status(), "exact", "404"),
        { "not_matcher": matches(&interest_state(), "prefix", interest::NOTHING) },
    ] } });
    // The routes look at each value, the matcher at all of them joined.
    let marked = matches(&response_header(DOUBT_HEADER), "contains", DOUBT_MARK);
    let matters = json!({ "or_matcher": { "predicate": [doubtful, marked] } });
    let filter = json!({ "name": "judge", "typed_config": module.at_servers() });
    unless("judge", &matters, &filter)
}

/// Returns the filter that names another cluster after a server denied the request. The router reads
/// the header before the next retry. So this attempt may still be at a server of the same set, and
/// the next ones go to that cluster.
fn goes_on_in(cluster: &str) -> Value {
    let set = json!({
        "name": "go-on-in-the-rotation",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": { "request_mutations": [{ "append": {
                "header": { "key": CLUSTER_HEADER, "value": cluster },
                "append_action": "OVERWRITE_IF_EXISTS",
            } }] },
        },
    });
    // Every address has a colon.
    unless("go-on-in-the-rotation", &matches(&denied_state(), "contains", ":"), &set)
}

/// Returns the filter, skipped unless the predicate holds.
fn unless(name: &str, predicate: &Value, filter: &Value) -> Value {
    let skip = json!({
        "name": "skip",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.common.matcher.action.v3.SkipFilter"),
        },
    });
    json!({
        "name": name,
        "typed_config": {
            "@type": type_url("envoy.extensions.common.matching.v3.ExtensionWithMatcher"),
            "xds_matcher": {
                "matcher_list": {
                    "matchers": [{
                        "predicate": { "not_matcher": predicate },
                        "on_match": { "action": skip },
                    }],
                },
            },
            "extension_config": filter,
        },
    })
}
