//! When no server of the newer version was in rotation, by what the companion says of the servers. On a
//! busy machine, a server may say for a moment that it is not ready.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use harness::promise;
use harness::site::Site;
use harness::skew::NEWER;
use serde_json::Value;

/// Times from and to which something was so.
pub type Times = Vec<RangeInclusive<SystemTime>>;

/// Until Envoy has the map that follows an event, which is promised within two seconds. Events have a time
/// in whole seconds.
const PUSH: Duration =
    promise::on_busy_machine(Duration::from_secs(2)).saturating_add(Duration::from_secs(1));

/// The servers at one moment, and what happened since.
pub struct Rotation {
    servers: BTreeMap<String, Server>,
    events: BTreeMap<u64, Value>,
}

#[derive(Clone, Debug)]
struct Server {
    serves: bool,
    is_newer: bool,
}

impl Rotation {
    /// Reads how the servers are now.
    pub async fn begin(site: &Site) -> Result<Self> {
        let peers = site.stack.companion.json("/v1/peers").await?;
        let server = |peer: &Value| {
            let name = peer["name"].as_str()?.to_owned();
            let (serves, is_newer) =
                (peer["state"] == "serving", peer["minorVersion"] == NEWER.as_str());
            Some((name, Server { serves, is_newer }))
        };
        let servers = peers.as_array().context("no list")?.iter().filter_map(server).collect();
        let mut rotation = Self { servers, events: BTreeMap::new() };
        rotation.read(site).await?;
        // They are in what was read of the servers.
        rotation.events.values_mut().for_each(|event| *event = Value::Null);
        Ok(rotation)
    }

    /// Reads what happened. Fails if that was more than the companion keeps: the identifiers of events
    /// have no gaps.
    pub async fn read(&mut self, site: &Site) -> Result<()> {
        let known = self.events.last_key_value().map(|(id, _)| *id);
        let events = site.stack.companion.json("/v1/events").await?;
        for event in events.as_array().context("no list")? {
            let id = event["id"].as_u64().context("no id")?;
            self.events.entry(id).or_insert_with(|| event.clone());
        }
        let next =
            known.and_then(|id| self.events.range(id + 1..).next().map(|(next, _)| (id, *next)));
        ensure!(next.is_none_or(|(id, next)| next == id + 1), "events are missing: {next:?}");
        Ok(())
    }

    /// Returns the times at which Envoy may have had a map without a newer server in rotation.
    pub fn without_newer(&self) -> Result<Times> {
        let mut servers = self.servers.clone();
        let mut times = Vec::new();
        let mut since = None;
        for event in self.events.values().filter(|event| !event.is_null()) {
            let at = event["atUnixSeconds"].as_u64().context("no time")?;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            let server = event["peer"].as_str().and_then(|name| servers.get_mut(name));
            match (event["kind"].as_str(), server) {
                (Some("peerState"), Some(server)) => server.serves = event["to"] == "serving",
                (Some("peerVersion"), Some(server)) => {
                    let version = event["to"].as_str().context("no version")?;
                    server.is_newer = version.starts_with(&format!("v{}.", NEWER.as_str()));
                }
                _ => continue,
            }
            let is_there = servers.values().any(|server| server.serves && server.is_newer);
            since = match since {
                Some(since) if is_there => {
                    times.push(since..=at + PUSH);
                    None
                }
                None if !is_there => Some(at),
                since => since,
            };
        }
        times.extend(since.map(|since| since..=SystemTime::now()));
        Ok(times)
    }
}
