//! What the collector asked of which server, by the servers' own audit logs.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use integration::control_plane::{ServerOptions, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Who the collector is.
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// The audit logs of some servers.
pub struct Audit {
    folder: TempDir,
}

/// What the collector asked so far.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// GETs of single owners.
    pub owners: u64,
    /// Those that were answered by a 404, though all owners were alive.
    pub wrong: u64,
    /// All requests by server.
    pub by_server: BTreeMap<String, u64>,
}

impl Audit {
    /// Logs in a folder of their own, for requests of the collector only.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("audit-")?;
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{ "level": "Metadata", "users": [COLLECTOR] }, { "level": "None" }],
        });
        fs::write(folder.path().join("policy.json"), policy.to_string())?;
        Ok(Self { folder })
    }

    /// A server that keeps such a log.
    pub fn server(&self, name: &str, version: Version) -> ServerOptions {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        ServerOptions::new(name, version)
            .argument(format!("--audit-policy-file={}", path("policy.json")))
            .argument(format!("--audit-log-path={}", path(&format!("{name}.log"))))
    }

    /// What is in the logs, where owners live in this collection.
    pub fn asked(&self, owners: &str) -> Result<Asked> {
        let mut asked = Asked::default();
        for file in fs::read_dir(self.folder.path())? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let server = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let events = asked.by_server.entry(server).or_default();
            for line in fs::read_to_string(&path)?.lines() {
                *events += 1;
                let event: Value = serde_json::from_str(line)?;
                if is_get_of_one(&event, owners) {
                    asked.owners += 1;
                    let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
                    asked.wrong += u64::from(code == Some(404));
                }
            }
        }
        Ok(asked)
    }
}

impl Asked {
    /// What was asked after `before`.
    pub fn since(mut self, before: &Self) -> Self {
        self.owners -= before.owners;
        self.wrong -= before.wrong;
        for (server, requests) in &mut self.by_server {
            *requests -= before.by_server.get(server).copied().unwrap_or_default();
        }
        self
    }
}

fn is_get_of_one(event: &Value, owners: &str) -> bool {
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let one = text("requestURI").strip_prefix(owners).is_some_and(|rest| rest.starts_with('/'));
    one && text("verb") == "get"
}
