//! Fake API servers that replay the answers of real ones, for tests and a demo
//! that need no Kubernetes.
//!
//! ```text
//!   ReplayPeer "a" (v1.35.4 recording) ─┐
//!   ReplayPeer "b" (v1.36.3 recording) ─┼─▶ Store (as etcd: one for all)
//!   ReplayPeer "c" …                   ─┘
//! ```
//!
//! A server speaks TLS with HTTP/1.1 and HTTP/2. It serves the recorded discovery
//! documents with their ETags and all of kube-apiserver's 404s, which
//! `tests/replay_peer.rs` compares with the recordings. Objects of every
//! type in its discovery can be created, read, replaced, patched, deleted and
//! watched, in JSON. Each answer has the header `x-peer`, which says who gave it.
//!
//! A server authenticates no client unless [`Rules`] say so, validates no object,
//! and runs no controller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, ensure};
use pki::{CertificateFiles, TlsServer, tls};

use crate::recordings::Recording;

mod accept;
mod answer;
mod crd;
mod documents;
mod json;
mod object_request;
mod objects;
mod open_api;
mod path;
mod peer;
mod reply;
mod status;
mod store;
mod types;
mod view;
mod watching;

pub use crd::{Crd, CrdVersion};
pub use open_api::OpenApiDocument;
pub use peer::{Canned, CannedEnd, PEER_HEADER, Rules};
pub use store::{Key, Store};

use documents::Changes;
use peer::{Peer, State};
use view::View;

/// How to start a peer.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The peer's name.
    pub name: String,
    /// The recording that it serves. Many peers can share one.
    pub recording: Arc<Recording>,
    /// The store of its objects.
    pub store: Store,
    /// Its server certificate.
    pub certificate: CertificateFiles,
    /// The authority (PEM) of its clients; if set, they must present a certificate.
    pub client_ca_pem: Option<String>,
}

impl ReplayOptions {
    /// Returns a peer on a free port, with a store of its own.
    pub fn new(
        name: impl Into<String>,
        recording: impl Into<Arc<Recording>>,
        certificate: CertificateFiles,
    ) -> Self {
        let (name, recording) = (name.into(), recording.into());
        let (store, client_ca_pem) = (Store::default(), None);
        Self { name, recording, store, certificate, client_ca_pem }
    }
}

/// A peer; dropping it closes its port and all of its connections.
#[derive(Debug)]
pub struct ReplayPeer {
    peer: Arc<Peer>,
    tls: Arc<rustls::ServerConfig>,
    port: u16,
    server: Option<TlsServer>,
}

impl ReplayPeer {
    /// Starts a peer; it accepts connections when this returns, and is ready.
    /// Fails if the port is taken, or the recording or certificate is unusable.
    pub async fn start(options: ReplayOptions) -> Result<Self> {
        let recording = options.recording;
        let view = Arc::new(View::new(Arc::clone(&recording), Changes::default())?);
        let state = State {
            recording,
            changes: Changes::default(),
            learned: Vec::new(),
            view,
            canned: BTreeMap::new(),
            open_api: BTreeMap::new(),
            rules: Rules::default(),
            ready: true,
            learns_crds: true,
        };
        let peer = Arc::new(Peer {
            name: options.name,
            store: options.store,
            state: RwLock::new(state),
            requests: AtomicU64::new(0),
            whole_documents: AtomicU64::new(0),
        });
        let clients = tls::signed_by(options.client_ca_pem.as_deref())?;
        let tls = Arc::new(tls::server(&options.certificate, clients)?);
        let mut replay = Self { peer, tls, port: 0, server: None };
        replay.start_again().await?;
        Ok(replay)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.peer.name
    }

    /// Returns its port on 127.0.0.1, which stays the same over [`Self::stop`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the version of the server that it replays, such as `v1.36.3`.
    pub fn version(&self) -> String {
        self.peer.state().view.version().to_owned()
    }

    /// Returns the number of requests so far, without those of companions: what a companion sends
    /// before a test kills it may arrive later.
    pub fn requests(&self) -> u64 {
        self.peer.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of aggregated discovery documents that it sent whole, and not
    /// as a 304.
    pub fn whole_documents(&self) -> u64 {
        self.peer.whole_documents.load(Ordering::Relaxed)
    }

    /// Sets what it demands of its clients from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.peer.state_mut().rules = rules;
    }

    /// Serves another recording from now on: an upgrade, without the restart.
    /// Fails if the recording is unusable.
    pub fn upgrade(&self, recording: Recording) -> Result<()> {
        self.peer.change(|state| state.recording = Arc::new(recording))
    }

    /// Sets whether `/readyz` reports it as ready; it serves requests either way.
    pub fn set_ready(&self, ready: bool) {
        self.peer.state_mut().ready = ready;
    }

    /// Sets whether it notices custom resources that come and go in the store; a
    /// server that does not lags behind the others.
    pub fn set_learns_crds(&self, learns: bool) {
        self.peer.state_mut().learns_crds = learns;
    }

    /// No longer serves a resource of the recording; `*` means all of the
    /// version's resources. Fails if the recording is unusable.
    pub fn drop_resource(&self, group: &str, version: &str, resource: &str) -> Result<()> {
        let dropped = (group.to_owned(), version.to_owned(), resource.to_owned());
        self.peer.change(|state| {
            state.changes.dropped.insert(dropped);
        })
    }

    /// No longer serves a resource (`pods`) or subresource (`pods/status`) of the recording with
    /// a verb: requests with it get 405. Fails if the recording is unusable.
    pub fn drop_verb(&self, group: &str, version: &str, resource: &str, verb: &str) -> Result<()> {
        let dropped = [group, version, resource, verb].map(str::to_owned).into();
        self.peer.change(|state| {
            state.changes.dropped_verbs.insert(dropped);
        })
    }

    /// Serves a custom resource that the other servers may not know. Fails if
    /// the recording is unusable.
    pub fn add_crd(&self, crd: Crd) -> Result<()> {
        self.peer.change(|state| state.changes.crds.push(crd))
    }

    /// Serves these custom resources in place of those that were added. Fails
    /// if the recording is unusable.
    pub fn set_crds(&self, crds: Vec<Crd>) -> Result<()> {
        self.peer.change(|state| state.changes.crds = crds)
    }

    /// Undoes all of [`Self::drop_resource`], [`Self::drop_verb`] and [`Self::add_crd`]. Fails if
    /// the recording is unusable.
    pub fn reset_types(&self) -> Result<()> {
        self.peer.change(|state| state.changes = Changes::default())
    }

    /// Serves these documents of OpenAPI v3, by their paths below `/openapi/v3/`, and their
    /// index in place of the recorded one.
    pub fn set_open_api(&self, documents: impl IntoIterator<Item = (String, OpenApiDocument)>) {
        self.peer.state_mut().open_api = documents.into_iter().collect();
    }

    /// Answers requests for exactly `path` (without a query) with this, until
    /// [`Self::answer_as_recorded`].
    pub fn answer_with(&self, path: &str, canned: Canned) {
        self.peer.state_mut().canned.insert(path.to_owned(), canned);
    }

    /// Answers requests for exactly these paths with these, and all others as
    /// recorded.
    pub fn answer_only(&self, answers: impl IntoIterator<Item = (String, Canned)>) {
        self.peer.state_mut().canned = answers.into_iter().collect();
    }

    /// Undoes [`Self::answer_with`] for all paths.
    pub fn answer_as_recorded(&self) {
        self.answer_only([]);
    }

    /// Closes its port and all connections at once, as a killed server would.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Accepts connections again, on the same port. Fails if it was not
    /// stopped, or its port is taken now.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "{} was not stopped", self.name());
        let peer = Arc::clone(&self.peer);
        let serve = move |stream| answer::serve(Arc::clone(&peer), stream);
        let server = TlsServer::start(self.port, Arc::clone(&self.tls), serve);
        let server = server.await.with_context(|| format!("cannot start {}", self.name()))?;
        self.port = server.port();
        self.server = Some(server);
        Ok(())
    }
}
