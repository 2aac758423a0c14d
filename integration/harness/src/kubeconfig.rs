//! Kubeconfig files, for kubectl and the controller manager.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pki::CertificateFiles;
use serde_json::{Value, json};

/// Returns a user of a kubeconfig, by a bearer token.
pub fn by_token(token: Option<&str>) -> Value {
    json!({ "token": token })
}

/// Returns a user of a kubeconfig, by a client certificate.
pub fn by_certificate(files: &CertificateFiles) -> Value {
    json!({ "client-certificate": files.certificate, "client-key": files.key })
}

/// Writes a kubeconfig (in JSON, which is YAML) of this user for the server at
/// `url`. Fails if the file cannot be written.
pub fn write(file: &Path, url: &str, ca_file: &Path, user: &Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": { "server": url, "certificate-authority": ca_file },
        }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "user" } }],
        "current-context": "test",
    });
    fs::write(file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
