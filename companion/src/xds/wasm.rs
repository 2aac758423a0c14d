//! The module as Envoy runs it, and the inputs of the matchers around it.

use std::path::{Path, PathBuf};

use routing::interest;
use serde_json::{Value, json};

use super::message::type_url;
use crate::config::{ClusterPrefix, Config, module_at_servers};

/// What the filter, its VM and its root are called, and the name under which the listener asks for
/// it. With many control planes, all but the VM have the control plane's name behind it.
pub const FILTER_NAME: &str = "mixed-version-proxy";

/// The module, and which of many control planes it works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The filter's file, as Envoy sees it.
    pub file: PathBuf,
    /// `None` if there is only one.
    pub control_plane: Option<ClusterPrefix>,
}

impl From<&Config> for Module {
    fn from(config: &Config) -> Self {
        let control_plane = config.name().cloned();
        Self { file: config.envoy.filter_module.clone(), control_plane }
    }
}

impl Module {
    /// Returns the module of the only control plane.
    pub fn of_only(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), control_plane: None }
    }

    /// Returns the name of the filter, under which the listener asks for it.
    pub fn filter_name(&self) -> String {
        self.qualified(FILTER_NAME)
    }

    fn qualified(&self, name: &str) -> String {
        match &self.control_plane {
            Some(control_plane) => format!("{name}/{control_plane}"),
            None => name.to_owned(),
        }
    }

    /// Returns the module as it runs in the listener, with this map.
    pub(super) fn in_the_listener(&self, map: &str) -> Value {
        wasm(&self.filter_name(), &self.file, map)
    }

    /// Returns the module as it runs at the clusters, from the file beside it.
    pub(super) fn at_servers(&self) -> Value {
        let name = self.qualified(&format!("{FILTER_NAME}-at-server"));
        wasm(&name, &module_at_servers(&self.file), "")
    }
}

/// Returns a module. All have the same VM identifier, under which those of a control plane share the
/// evidence.
fn wasm(name: &str, file: &Path, configuration: &str) -> Value {
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
                "code": { "local": { "filename": file } },
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
