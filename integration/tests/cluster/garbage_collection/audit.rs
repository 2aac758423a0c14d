//! The collector's requests to each server, from the servers' audit logs.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use fake_apiserver::Version;
use harness::control_plane::ServerOptions;
use harness::manifests::TAINT_RULES;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::families::FIRST;

/// The collector's user.
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// The audit logs of some servers.
pub struct Audit {
    folder: TempDir,
}

/// The collector's requests.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The owners that it asked for, and how often.
    pub owners: BTreeMap<String, u64>,
    /// GETs of single owners.
    pub gets: u64,
    /// Those that were answered by a 404.
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

    /// Returns a server that keeps such a log.
    pub fn server(&self, name: &str, version: Version) -> ServerOptions {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        ServerOptions::new(name, version)
            .argument(format!("--audit-policy-file={}", path("policy.json")))
            .argument(format!("--audit-log-path={}", path(&format!("{name}.log"))))
    }

    /// Returns the requests in the logs.
    pub fn read(&self) -> Result<Asked> {
        let mut asked = Asked::default();
        for file in fs::read_dir(self.folder.path())? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let server = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            // The last line may be half there.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                asked.note(&server, &serde_json::from_str(line)?);
            }
        }
        Ok(asked)
    }
}

impl Asked {
    fn note(&mut self, server: &str, event: &Value) {
        *self.by_server.entry(server.to_owned()).or_default() += 1;
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
        let owner =
            text("requestURI").strip_prefix(TAINT_RULES).and_then(|uri| uri.strip_prefix('/'));
        let Some(owner) = owner.filter(|_| text("verb") == "get") else { return };
        // That one has been deleted: its 404 is true.
        if owner.ends_with(FIRST) {
            return;
        }
        *self.owners.entry(owner.to_owned()).or_default() += 1;
        self.gets += 1;
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        self.wrong += u64::from(code == Some(404));
    }

    /// Returns the requests after `before`.
    pub fn since(mut self, before: &Self) -> Self {
        self.gets -= before.gets;
        self.wrong -= before.wrong;
        subtract(&mut self.owners, &before.owners);
        subtract(&mut self.by_server, &before.by_server);
        self
    }
}

fn subtract(all: &mut BTreeMap<String, u64>, before: &BTreeMap<String, u64>) {
    for (key, count) in before {
        if let Some(all) = all.get_mut(key) {
            *all -= count;
        }
    }
    all.retain(|_, count| *count > 0);
}
