//! What `/v1/envoys` shows: who is served, and what each has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::form::version_of_all;
use super::kind::Kind;
use super::resource::version_of;
use super::session::Session;
use super::snapshot::Snapshot;

/// How much is shown of a text that an Envoy sends, in characters.
const MOST_SHOWN: usize = 1024;

/// The Envoys that are served. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Envoys(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    envoys: BTreeMap<u64, Envoy>,
    /// What the latest snapshot has.
    versions: BTreeMap<&'static str, String>,
}

#[derive(Debug)]
struct Envoy {
    node: String,
    cluster: String,
    certificate: Vec<String>,
    form: &'static str,
    since: Instant,
    versions: BTreeMap<&'static str, String>,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    kind: Kind,
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
    /// The versions that every Envoy shall have, by type.
    versions: BTreeMap<&'static str, String>,
    envoys: Vec<EnvoyView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvoyView {
    node: String,
    cluster: String,
    certificate_names: Vec<String>,
    protocol: &'static str,
    connected_seconds: u64,
    /// What it has acknowledged, by type.
    versions: BTreeMap<&'static str, String>,
    last_refusal: Option<RefusalView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalView {
    r#type: &'static str,
    reason: String,
    seconds_ago: u64,
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
                node: String::new(),
                cluster: String::new(),
                certificate,
                form,
                since: Instant::now(),
                versions: BTreeMap::new(),
                refusal: None,
            },
        );
        Entry { envoys: self.clone(), number }
    }

    /// Takes note of what every Envoy shall have.
    pub fn expect(&self, snapshot: &Snapshot) {
        let endpoints: BTreeMap<_, _> = snapshot
            .endpoints
            .iter()
            .map(|(name, endpoints)| (name.clone(), version_of(endpoints)))
            .collect();
        let of = |kind| match kind {
            Kind::Clusters => Some(&snapshot.clusters),
            Kind::Secrets => Some(&snapshot.secrets),
            Kind::Filter => Some(&snapshot.filter),
            Kind::Endpoints => None,
        };
        let versions = Kind::ALL.into_iter().map(|kind| {
            let version = match of(kind) {
                Some(all) => version_of_all(all.iter().map(|(name, one)| (name, &one.version))),
                None => version_of_all(endpoints.iter()),
            };
            (kind.as_str(), version)
        });
        self.known().versions = versions.collect();
    }

    /// Returns what is shown.
    pub fn view(&self) -> View {
        let known = self.known();
        let envoys = known.envoys.values().map(|envoy| EnvoyView {
            node: envoy.node.clone(),
            cluster: envoy.cluster.clone(),
            certificate_names: envoy.certificate.clone(),
            protocol: envoy.form,
            connected_seconds: envoy.since.elapsed().as_secs(),
            versions: envoy.versions.clone(),
            last_refusal: envoy.refusal.as_ref().map(|refusal| RefusalView {
                r#type: refusal.kind.as_str(),
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

    /// Takes note of who the Envoy says it is.
    pub fn introduce(&self, node: &str, cluster: &str) {
        self.change(|envoy| {
            envoy.node = shortened(node);
            envoy.cluster = shortened(cluster);
        });
    }

    /// Takes note of what it has of a type.
    pub fn has(&self, kind: Kind, session: &Session) {
        let held = session.state(kind).has().iter();
        let version = version_of_all(held.map(|(name, held)| (name, &held.version)));
        self.change(|envoy| {
            envoy.versions.insert(kind.as_str(), version);
        });
    }

    /// Takes note of a push that it refused.
    pub fn refused(&self, kind: Kind, reason: &str) {
        let refusal = Refusal { kind, reason: shortened(reason), at: Instant::now() };
        self.change(|envoy| envoy.refusal = Some(refusal));
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
