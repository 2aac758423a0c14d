//! Kubeconfig files, for kubectl and the controller manager.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pki::CertificateFiles;
use serde_json::{Value, json};

/// Writes a kubeconfig (in JSON, which is YAML) for the server at `url`. Fails
/// if the file cannot be written.
pub fn write(file: &Path, url: &str, ca_file: &Path, token: Option<&str>) -> Result<()> {
    let user = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
    write_user(file, url, ca_file, &user)
}

/// The same for a user who presents a client certificate. Fails if the file
/// cannot be written.
pub fn write_certificate(
    file: &Path,
    url: &str,
    ca_file: &Path,
    files: &CertificateFiles,
) -> Result<()> {
    let user = json!({ "client-certificate": files.certificate, "client-key": files.key });
    write_user(file, url, ca_file, &user)
}

fn write_user(file: &Path, url: &str, ca_file: &Path, user: &Value) -> Result<()> {
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
