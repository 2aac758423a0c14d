//! What all messages share: type URLs, the response around them, and where Envoy gets the resources
//! that they name.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Where Envoy gets a resource that another one names. Whoever carries the resources decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A file with that resource alone, which Envoy watches.
    Path(PathBuf),
    /// The stream that carries the resource that names it.
    Ads,
}

impl ConfigSource {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Path(path) => json!({
                "path_config_source": { "path": path },
                "resource_api_version": "V3",
            }),
            Self::Ads => json!({ "ads": {}, "resource_api_version": "V3" }),
        }
    }
}

/// Returns a discovery response: what a file holds, and a stream would carry.
pub fn response(version: u64, resources: &[Value]) -> Value {
    json!({ "version_info": version.to_string(), "resources": resources })
}

pub(super) fn type_url(message: &str) -> String {
    format!("type.googleapis.com/{message}")
}
