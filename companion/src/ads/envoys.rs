//! What `/v1/envoys` shows: who is served, and what each has.

mod chosen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use serde::Serialize;
use tokio::sync::broadcast;

use super::envoy_version::EnvoyVersion;
use super::kind::Kind;
use super::session::Session;
use super::snapshot::Snapshot;
pub use chosen::Chosen;
use chosen::ChosenView;

/// The name by which a mirror calls its program.
pub const MIRROR: &str = "mixed-version-mirror";

/// How much is shown of a text that an Envoy sends, in characters.
const MOST_SHOWN: usize = 1024;

/// How many refusals wait for those that follow them.
const MOST_WAITING: usize = 256;

/// The Envoys that are served. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Envoys(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    refusals: broadcast::Sender<Refused>,
    next: u64,
    envoys: BTreeMap<u64, Envoy>,
    /// What the latest snapshot has.
    versions: BTreeMap<&'static str, String>,
}

/// That an Envoy refused something.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The identifier of the Envoy.
    pub node: String,
    /// The control plane whose resource it was.
    pub control_plane: String,
    /// The type of the resources.
    pub resources: &'static str,
    /// Why, in the words of the Envoy.
    pub reason: String,
}

impl Default for Known {
    fn default() -> Self {
        let refusals = broadcast::Sender::new(MOST_WAITING);
        Self { refusals, next: 0, envoys: BTreeMap::new(), versions: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Envoy {
    mirror: bool,
    version: Option<EnvoyVersion>,
    node: String,
    cluster: String,
    certificate: Vec<String>,
    form: &'static str,
    since: Instant,
    /// Which control planes it gets. `None` if it gets all.
    chosen: Option<Chosen>,
    versions: BTreeMap<&'static str, String>,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    kind: Kind,
    part: String,
    reason: String,
    at: Instant,
}

/// The entry of one stream. It goes with this handle.
#[derive(Debug)]
pub struct Entry {
    envoys: Envoys,
    number: u64,
}

/// What is shown of all.
#[derive(Debug, Serialize)]
pub struct View {
    /// The versions that an Envoy of all control planes must have, by type.
    versions: BTreeMap<&'static str, String>,
    envoys: Vec<EnvoyView>,
}

/// What is shown of one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvoyView {
    /// It is a mirror, which serves the Envoy of its host.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// The version of Envoy, such as `1.40.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy_version: Option<String>,
    /// What it calls itself. It may have written anything.
    pub node: String,
    cluster: String,
    certificate_names: Vec<String>,
    protocol: &'static str,
    /// How long it has been connected.
    pub connected_seconds: u64,
    #[serde(flatten)]
    chosen: Option<ChosenView>,
    /// What it has acknowledged, by type.
    versions: BTreeMap<&'static str, String>,
    /// What it refused last.
    pub last_refusal: Option<RefusalView>,
}

/// What is shown of a refusal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalView {
    /// The type of the resources.
    pub r#type: &'static str,
    /// The control plane whose resource it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub control_plane: String,
    /// Why, in the words of the Envoy.
    pub reason: String,
    /// How long ago.
    pub seconds_ago: u64,
}

impl View {
    /// Returns the Envoys that get a control plane, each with whether the version of the map that it
    /// has acknowledged is the latest. `None`: it has acknowledged none.
    pub fn of_control_plane(self, name: &str) -> Vec<(EnvoyView, Option<bool>)> {
        let Self { versions, envoys } = self;
        let gets = |envoy: &EnvoyView| envoy.chosen.as_ref().is_none_or(|chosen| chosen.has(name));
        let filter = Kind::Filter.as_str();
        let envoys = envoys.into_iter().filter(gets).map(|envoy| {
            let latest = envoy.chosen.as_ref().map_or(&versions, ChosenView::expected);
            let has = envoy.versions.get(filter).map(|has| latest.get(filter) == Some(has));
            (envoy, has)
        });
        envoys.collect()
    }
}

impl Envoys {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an Envoy that presents a certificate with these names.
    pub fn enter(&self, certificate: Vec<String>, form: &'static str) -> Entry {
        let mut known = self.known();
        let number = known.next;
        known.next += 1;
        known.envoys.insert(
            number,
            Envoy {
                mirror: false,
                version: None,
                node: String::new(),
                cluster: String::new(),
                certificate,
                form,
                since: Instant::now(),
                chosen: None,
                versions: BTreeMap::new(),
                refusal: None,
            },
        );
        Entry { envoys: self.clone(), number }
    }

    /// Records what every Envoy must have.
    pub fn expect(&self, snapshot: &Snapshot) {
        self.known().versions = snapshot.versions();
    }

    /// Follows what Envoys refuse, from now on.
    pub fn refusals(&self) -> broadcast::Receiver<Refused> {
        self.known().refusals.subscribe()
    }

    /// Returns what is shown.
    pub fn view(&self) -> View {
        let known = self.known();
        let envoys = known.envoys.values().map(|envoy| EnvoyView {
            mirror: envoy.mirror,
            envoy_version: envoy.version.map(|version| version.to_string()),
            node: envoy.node.clone(),
            cluster: envoy.cluster.clone(),
            certificate_names: envoy.certificate.clone(),
            protocol: envoy.form,
            connected_seconds: envoy.since.elapsed().as_secs(),
            chosen: envoy.chosen.as_ref().map(Chosen::view),
            versions: envoy.versions.clone(),
            last_refusal: envoy.refusal.as_ref().map(|refusal| RefusalView {
                r#type: refusal.kind.as_str(),
                control_plane: refusal.part.clone(),
                reason: refusal.reason.clone(),
                seconds_ago: refusal.at.elapsed().as_secs(),
            }),
        });
        View { versions: known.versions.clone(), envoys: envoys.collect() }
    }
}

impl Entry {
    fn change(&self, change: impl FnOnce(&mut Envoy)) {
        if let Some(envoy) = self.envoys.known().envoys.get_mut(&self.number) {
            change(envoy);
        }
    }

    /// Records who the Envoy says it is.
    pub fn introduce(&self, node: &Node, version: Option<EnvoyVersion>) {
        self.change(|envoy| {
            envoy.mirror = node.user_agent_name == MIRROR;
            envoy.version = version;
            envoy.node = shortened(&node.id);
            envoy.cluster = shortened(&node.cluster);
        });
    }

    /// Records which control planes the Envoy gets.
    pub fn selects(&self, chosen: Option<Chosen>) {
        self.change(|envoy| envoy.chosen = chosen);
    }

    /// Records what it has of a type.
    pub fn has(&self, kind: Kind, session: &Session) {
        let version = session.version(kind);
        self.change(|envoy| {
            envoy.versions.remove(kind.as_str());
            envoy.versions.extend(version.map(|version| (kind.as_str(), version)));
        });
    }

    /// Records what it refused of a control plane.
    pub fn refused(&self, kind: Kind, part: &str, reason: &str) {
        let (part, reason) = (part.to_owned(), shortened(reason));
        let mut known = self.envoys.known();
        let Some(envoy) = known.envoys.get_mut(&self.number) else { return };
        let refused = Refused {
            node: envoy.node.clone(),
            control_plane: part.clone(),
            resources: kind.as_str(),
            reason: reason.clone(),
        };
        envoy.refusal = Some(Refusal { kind, part, reason, at: Instant::now() });
        // Without a follower, nobody wants to know.
        drop(known.refusals.send(refused));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.envoys.known().envoys.remove(&self.number);
    }
}

/// Returns the beginning of what an Envoy says of itself, which can be megabytes long.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MOST_SHOWN).collect()
}
