//! The filter's configuration (ECDS), with the discovery map in it.

use routing::interest;
use serde_json::{Value, json};

use super::message::type_url;
use super::wasm::{Module, denied_state, interest_state, matches, response_status};

/// The JSON pointer to the map in a response that has the [`FilterConfig`] alone.
pub const MAP: &str =
    "/resources/0/typed_config/extension_config/typed_config/config/configuration/value";

/// The filter with its discovery map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterConfig {
    /// The map in JSON.
    pub map: String,
    /// The WebAssembly module.
    pub module: Module,
}

impl FilterConfig {
    /// Returns the resource in proto3 JSON. Apart from the map, the bytes are the same in each
    /// push: then Envoy keeps the same VM.
    pub fn to_json(&self) -> Value {
        let name = self.module.filter_name();
        let module = self.module.in_the_listener(&self.map);
        json!({
            "@type": type_url("envoy.config.core.v3.TypedExtensionConfig"),
            "name": name,
            "typed_config": {
                "@type": type_url("envoy.extensions.common.matching.v3.ExtensionWithMatcher"),
                "xds_matcher": skip_responses_that_do_not_matter(),
                "extension_config": { "name": name, "typed_config": module },
            },
        })
    }
}

/// A response matters if it is a 404, unless the filter said that it does not, and if the filter
/// said that a document is to be sent.
///
/// Envoy evaluates this with the request's headers, with its trailers and with the response's
/// headers, until the result is final. It must not be "skip" before there is a response, or
/// trailers would not enter the filter. So the filter's word about the response is looked at only
/// once there is a status.
fn skip_responses_that_do_not_matter() -> Value {
    let (status, state) = (response_status(), interest_state());
    let not = |predicate: Value| json!({ "not_matcher": predicate });
    let any = |predicates: [Value; 3]| json!({ "or_matcher": { "predicate": predicates } });
    let all = |predicates: [Value; 2]| json!({ "and_matcher": { "predicate": predicates } });
    let matters = any([
        // In this order; see above.
        all([matches(&status, "exact", "404"), not(matches(&state, "prefix", interest::NOTHING))]),
        matches(&state, "prefix", interest::DOCUMENT),
        // Another server is about to answer. Every address has a colon.
        matches(&denied_state(), "contains", ":"),
    ]);
    let skip = json!({
        "name": "skip",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.common.matcher.action.v3.SkipFilter"),
        },
    });
    json!({
        "matcher_list": {
            "matchers": [{ "predicate": not(matters), "on_match": { "action": skip } }],
        },
    })
}
