//! The collector's requests to each server, from the servers' audit logs.

use std::collections::BTreeMap;

use anyhow::Result;
use harness::audit_logs::AuditLogs;
use harness::manifests::TAINT_RULES;
use serde_json::{Value, json};

use super::families::FIRST;

/// The collector's user.
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// The audit logs of some servers.
pub struct Audit {
    /// The logs.
    pub logs: AuditLogs,
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
    /// Logs of the collector's requests only.
    pub fn new() -> Result<Self> {
        let rules = json!([{ "level": "Metadata", "users": [COLLECTOR] }, { "level": "None" }]);
        Ok(Self { logs: AuditLogs::new(&["RequestReceived"], &rules)? })
    }

    /// Returns the requests in the logs. Of those for owners, only those for a story's own count:
    /// the collector asks for the owners of an earlier story too, which are gone.
    pub fn read(&self, story: &str) -> Result<Asked> {
        let mut asked = Asked::default();
        for server in ["old", "new"] {
            for event in self.logs.events(server)? {
                asked.note(server, &event, story);
            }
        }
        Ok(asked)
    }
}

impl Asked {
    fn note(&mut self, server: &str, event: &Value, story: &str) {
        *self.by_server.entry(server.to_owned()).or_default() += 1;
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
        let owner =
            text("requestURI").strip_prefix(TAINT_RULES).and_then(|uri| uri.strip_prefix('/'));
        let Some(owner) = owner.filter(|_| text("verb") == "get") else { return };
        let rest = owner.strip_prefix(story).filter(|rest| rest.starts_with('-'));
        // The first one has been deleted: its 404 is true.
        if rest.is_none_or(|rest| rest == FIRST) {
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
