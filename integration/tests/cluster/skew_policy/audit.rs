//! Who asked which version, by the servers' audit logs: a line for each request, when it arrives.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Result};
use discovery_map::{Destination, DiscoveryMap};
use fake_apiserver::Version;
use harness::audit_logs::AuditLogs;
use harness::skew::{NEWER, OLDER};
use serde_json::{Value, json};

/// Who sent a request, by its `User-Agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A component of this version.
    Component(Version),
    Kubectl,
    Other,
}

/// A request that a server got.
#[derive(Clone)]
pub struct Request {
    pub sender: Sender,
    pub user_agent: String,
    /// When the server received it.
    pub at: SystemTime,
    /// The version of the server at that time.
    pub answered_by: Version,
    /// The group, version, resource and subresource, if it is about one.
    resource: Option<[String; 4]>,
}

/// The audit logs of some servers.
pub struct Audits {
    /// The logs.
    pub logs: AuditLogs,
    /// For each server, from which byte of its log on it has which version.
    versions: BTreeMap<String, Vec<(u64, Version)>>,
}

/// How long each log was.
pub type Mark = BTreeMap<String, u64>;

impl Audits {
    pub fn new() -> Result<Self> {
        let omit = ["ResponseStarted", "ResponseComplete", "Panic"];
        let logs = AuditLogs::new(&omit, &json!([{ "level": "Metadata" }]))?;
        let versions = ["cp-0", "cp-1", "cp-2"].map(|name| (name.to_owned(), vec![(0, OLDER)]));
        Ok(Self { logs, versions: versions.into() })
    }

    /// What a server logs from now on is of this version.
    pub fn becomes(&mut self, name: &str, version: Version) -> Result<()> {
        let length = self.length(name);
        self.versions.get_mut(name).context("no such server")?.push((length, version));
        Ok(())
    }

    /// Returns how long the logs are.
    pub fn read(&self) -> Result<Mark> {
        Ok(self.versions.keys().map(|name| (name.clone(), self.length(name))).collect())
    }

    /// Returns the requests that were logged since then.
    pub fn since(&self, mark: &Mark) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for (name, versions) in &self.versions {
            let from = mark.get(name).copied().unwrap_or_default();
            let text = fs::read(self.logs.file(name)).unwrap_or_default();
            let mut at = 0_u64;
            for line in text.split_inclusive(|&byte| byte == b'\n') {
                let begins = at;
                at += u64::try_from(line.len())?;
                // The last line may be half there.
                if begins < from || !line.ends_with(b"\n") {
                    continue;
                }
                let version = versions.iter().rev().find(|(since, _)| begins >= *since);
                let (_, answered_by) = *version.context("no version")?;
                requests.push(Request::of(&serde_json::from_slice(line)?, answered_by)?);
            }
        }
        Ok(requests)
    }

    fn length(&self, name: &str) -> u64 {
        fs::metadata(self.logs.file(name)).map_or(0, |file| file.len())
    }
}

/// One line: a failed test prints many of them.
impl Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_agent, at, answered_by, resource, .. } = self;
        let at = humantime::format_rfc3339_millis(*at);
        write!(f, "{at} {user_agent}: {resource:?} answered by {answered_by}")
    }
}

impl Request {
    fn of(event: &Value, answered_by: Version) -> Result<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let user_agent = text("/userAgent").unwrap_or_default().to_owned();
        let resource = text("/objectRef/resource").map(|resource| {
            let field = |name: &str| text(&format!("/objectRef/{name}")).unwrap_or_default();
            let (group, version) = (field("apiGroup"), field("apiVersion"));
            [group, version, resource, field("subresource")].map(str::to_owned)
        });
        let at = text("/requestReceivedTimestamp").context("no time")?;
        let at = humantime::parse_rfc3339(at)?;
        Ok(Self { sender: sender(&user_agent), user_agent, at, answered_by, resource })
    }

    /// Returns where the map sends requests for the resource. `None` if it has none, or not this one.
    pub fn found<'m>(&self, map: &'m DiscoveryMap) -> Option<Destination<'m>> {
        let [group, version, resource, subresource] =
            self.resource.as_ref()?.each_ref().map(|text| text.as_bytes());
        let subresource = (!subresource.is_empty()).then_some(subresource);
        Some(map.resource(group, version, resource, subresource)?.destination)
    }
}

fn sender(user_agent: &str) -> Sender {
    let programs = ["kubelet/v", "kube-proxy/v", "kube-controller-manager/v", "kube-scheduler/v"];
    if user_agent.starts_with("kubectl/") {
        return Sender::Kubectl;
    }
    let version = programs.iter().find_map(|program| user_agent.strip_prefix(program));
    let of = |known: Version| version.is_some_and(|own| own.starts_with(known.as_str()));
    match [OLDER, NEWER].into_iter().find(|known| of(*known)) {
        Some(known) => Sender::Component(known),
        None => Sender::Other,
    }
}
