//! Audit logs of API servers (`audit.k8s.io/v1`, one event in a line).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use fake_apiserver::Version;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::control_plane::ServerOptions;

/// The audit logs of some servers, in a folder of their own.
#[derive(Debug)]
pub struct AuditLogs {
    folder: TempDir,
}

impl AuditLogs {
    /// Logs without these stages, by these rules of an audit policy. Fails if the policy cannot be
    /// written.
    pub fn new(omit_stages: &[&str], rules: &Value) -> Result<Self> {
        let folder = TempDir::with_prefix("audit-")?;
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": omit_stages,
            "rules": rules,
        });
        fs::write(folder.path().join("policy.json"), policy.to_string())?;
        Ok(Self { folder })
    }

    /// Returns a server that keeps such a log.
    pub fn server(&self, name: &str, version: Version) -> ServerOptions {
        let policy = self.folder.path().join("policy.json");
        ServerOptions::new(name, version)
            .argument(format!("--audit-policy-file={}", policy.display()))
            .argument(format!("--audit-log-path={}", self.file(name).display()))
    }

    /// Returns the log of a server.
    pub fn file(&self, server: &str) -> PathBuf {
        self.folder.path().join(format!("{server}.log"))
    }

    /// Returns the events in the log of a server, which has no file before the first. Fails if the log
    /// cannot be read, or a line is not JSON.
    pub fn events(&self, server: &str) -> Result<Vec<Value>> {
        let file = self.file(server);
        let text = if file.exists() { fs::read_to_string(file)? } else { String::new() };
        // The last line may be half there.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).context("a line of the audit log")).collect()
    }
}
