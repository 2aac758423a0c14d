//! Kubeconfig files, for kubectl and the controller manager.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

/// Writes a kubeconfig (in JSON, which is YAML) for the server at `url`.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(file: &Path, url: &str, ca_file: &Path, token: Option<&str>) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": { "server": url, "certificate-authority": ca_file },
        }],
        "users": [{
            "name": "user",
            "user": token.map_or_else(|| json!({}), |token| json!({ "token": token })),
        }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "user" } }],
        "current-context": "test",
    });
    fs::write(file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
